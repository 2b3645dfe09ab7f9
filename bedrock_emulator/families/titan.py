"""Amazon Titan: text generation and the two text embedding models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from bedrock_emulator.answers.prompt import Completion, Pieces, Prompt, Stop, Turn
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.families.family import Answer, Body, Context, Family, Head

_REASON: dict[Stop, str] = {
    "end": "FINISH",
    "length": "LENGTH",
    "sequence": "STOP_CRITERIA_MET",
    "tool": "FINISH",
    "refusal": "CONTENT_FILTERED",
}


class TextConfig(Body):
    """The sampling parameters of Titan Text."""

    maxTokenCount: int = Field(default=512, ge=0, le=8192)  # noqa: N815 - the wire's name
    temperature: float | None = Field(default=None, ge=0, le=1)
    topP: float | None = Field(default=None, ge=0, le=1)  # noqa: N815
    stopSequences: list[str] | None = None  # noqa: N815


class TextBody(Body):
    """The request body of Titan Text.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html
    """

    inputText: str = Field(min_length=1)  # noqa: N815
    textGenerationConfig: TextConfig = TextConfig()  # noqa: N815


def prompt_of(body: TextBody) -> Prompt:
    """Convert a request body to a prompt."""
    config = body.textGenerationConfig
    return Prompt(
        turns=(Turn("user", body.inputText),),
        max_tokens=config.maxTokenCount,
        stop_sequences=tuple(config.stopSequences or ()),
        temperature=config.temperature,
        top_p=config.topP,
    )


def answer_text(body: TextBody, context: Context) -> Answer:
    """Answer a request in Titan Text's response format."""
    completion = context.backend.complete(context.model_id, prompt_of(body))
    result = {
        "tokenCount": completion.output_tokens,
        "outputText": completion.text,
        "completionReason": _REASON[completion.stop],
    }
    return Answer(
        {"inputTextTokenCount": completion.input_tokens, "results": [result]},
        completion.input_tokens,
        completion.output_tokens,
    )


def stream_text(_head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Write an answer as Titan's stream events. Only the last one has the reason and counts."""
    index = 0
    for piece in pieces:
        if isinstance(piece, Completion):
            yield {
                "outputText": "",
                "index": index,
                "totalOutputTextTokenCount": piece.output_tokens,
                "completionReason": _REASON[piece.stop],
                "inputTextTokenCount": piece.input_tokens,
            }
        elif piece.kind == "text":
            yield {
                "outputText": piece.text,
                "index": index,
                "totalOutputTextTokenCount": None,
                "completionReason": None,
                "inputTextTokenCount": None,
            }
            index += 1


class EmbeddingV1Body(Body):
    """The request body of Titan Text Embeddings G1: always 1,536 dimensions."""

    inputText: str = Field(min_length=1, max_length=50_000)  # noqa: N815


class EmbeddingV2Body(Body):
    """The request body of Titan Text Embeddings V2.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
    """

    inputText: str = Field(min_length=1, max_length=50_000)  # noqa: N815
    dimensions: Literal[256, 512, 1024] = 1024
    normalize: bool = True
    embeddingTypes: list[Literal["float", "binary"]] | None = None  # noqa: N815


def answer_v1(body: EmbeddingV1Body, context: Context) -> Answer:
    """Answer in the response format of the first version."""
    vector = context.backend.embed(context.model_id, body.inputText, 1536)
    tokens = count_tokens(body.inputText)
    return Answer({"embedding": vector, "inputTextTokenCount": tokens}, tokens, 0)


def answer_v2(body: EmbeddingV2Body, context: Context) -> Answer:
    """Answer in the response format of the second version.

    The response has `embedding` only if `embeddingTypes` includes `float`, which is the default.
    """
    vector = context.backend.embed(context.model_id, body.inputText, body.dimensions)
    if not body.normalize:
        # Any length other than 1 shows that the vector is not normalised.
        vector = [round(value * 17.0, 6) for value in vector]
    tokens = count_tokens(body.inputText)
    by_type: dict[str, list[float] | list[int]] = {}
    for kind in body.embeddingTypes or ["float"]:
        by_type[kind] = vector if kind == "float" else [int(value > 0) for value in vector]
    response: dict[str, Any] = {"embeddingsByType": by_type, "inputTextTokenCount": tokens}
    if "float" in by_type:
        response["embedding"] = vector
    return Answer(response, tokens, 0)


TITAN_TEXT = Family(
    name="titan-text",
    models=re.compile(r"amazon\.titan-(text-(?!.*embed)|tg1-).+"),
    body=TextBody,
    answer=answer_text,
    prompt=prompt_of,
    stream=stream_text,
    has_converse=True,
)
TITAN_EMBED_V1 = Family(
    name="titan-embed-v1",
    models=re.compile(r"amazon\.titan-embed-(text-v1|g1-text).*"),
    body=EmbeddingV1Body,
    answer=answer_v1,
    output_modalities=("EMBEDDING",),
)
TITAN_EMBED_V2 = Family(
    name="titan-embed-v2",
    models=re.compile(r"amazon\.titan-embed-text-v2.*"),
    body=EmbeddingV2Body,
    answer=answer_v2,
    output_modalities=("EMBEDDING",),
)
