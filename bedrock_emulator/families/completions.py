"""Families that take one prompt and complete it: Llama, Mistral, Cohere Command, AI21 Jurassic and
DeepSeek R1."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, Field

from bedrock_emulator.answers.prompt import Completion, Piece, Pieces, Prompt, Stop, Turn
from bedrock_emulator.families.family import Answer, Body, Context, Family, Head, OpenBody


class LlamaBody(Body):
    """The request body of Llama.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
    """

    prompt: str = Field(min_length=1)
    max_gen_len: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    images: list[str] | None = None


class MistralBody(Body):
    """The request body of Mistral's text models.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html
    """

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(default=512, ge=1)
    stop: list[str] | None = Field(default=None, max_length=10)
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = None


class CommandBody(Body):
    """The request body of Cohere Command.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command.html
    """

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(default=20, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0, le=5)
    p: float | None = Field(default=None, ge=0, le=1)
    k: int | None = Field(default=None, ge=0, le=500)
    stop_sequences: list[str] | None = None
    return_likelihoods: str | None = None
    stream: bool | None = None
    num_generations: int | None = Field(default=None, ge=1, le=5)
    truncate: str | None = None
    logit_bias: dict[str, float] | None = None


class ResponseFormat(OpenBody):
    """The format of Command R's answer. `schema` is a member of `json_object`, and optional."""

    type: Literal["text", "json_object"]
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class CommandRBody(OpenBody):
    """The request body of Cohere Command R. Other members are accepted unchecked."""

    message: str = Field(min_length=1)
    chat_history: list[dict[str, Any]] | None = None
    preamble: str | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    p: float | None = Field(default=None, ge=0, le=1)
    stop_sequences: list[str] | None = None


class JurassicBody(Body):
    """The request body of AI21 Jurassic-2.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-jurassic2.html
    """

    prompt: str = Field(min_length=1)
    maxTokens: int = Field(default=200, ge=0, le=8191)  # noqa: N815 - the wire's name
    temperature: float | None = Field(default=None, ge=0, le=1)
    topP: float | None = Field(default=None, ge=0, le=1)  # noqa: N815
    stopSequences: list[str] | None = None  # noqa: N815
    countPenalty: dict[str, Any] | None = None  # noqa: N815
    presencePenalty: dict[str, Any] | None = None  # noqa: N815
    frequencyPenalty: dict[str, Any] | None = None  # noqa: N815


class R1Body(Body):
    """The request body of DeepSeek R1.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-deepseek.html
    """

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: list[str] | None = Field(default=None, max_length=10)


def _llama(completion: Completion) -> dict[str, Any]:
    return {
        "generation": completion.text,
        "prompt_token_count": completion.input_tokens,
        "generation_token_count": completion.output_tokens,
        "stop_reason": "length" if completion.stop == "length" else "stop",
    }


def _mistral(completion: Completion) -> dict[str, Any]:
    reason = "length" if completion.stop == "length" else "stop"
    return {"outputs": [{"text": completion.text, "stop_reason": reason}]}


_NOTHING = Completion("", 0, 0)
_COHERE_REASONS: dict[Stop, str] = {
    "end": "COMPLETE",
    "length": "MAX_TOKENS",
    "sequence": "COMPLETE",
    "tool": "COMPLETE",
    "refusal": "ERROR_TOXIC",
}


def _command(completion: Completion) -> dict[str, Any]:
    generation = {
        "id": f"{completion.output_tokens:08x}",
        "text": completion.text,
        "finish_reason": _COHERE_REASONS[completion.stop],
    }
    return {"id": f"{completion.input_tokens:08x}", "generations": [generation]}


def _command_r(completion: Completion) -> dict[str, Any]:
    return {
        "text": completion.text,
        "generation_id": f"{completion.output_tokens:08x}",
        "finish_reason": _COHERE_REASONS[completion.stop],
        "chat_history": [{"role": "CHATBOT", "message": completion.text}],
    }


def _jurassic(completion: Completion) -> dict[str, Any]:
    reasons = {"length": "length", "sequence": "stop"}
    finish = {"reason": reasons.get(completion.stop, "endoftext")}
    data = {"text": completion.text, "tokens": []}
    return {
        "id": completion.output_tokens,
        "completions": [{"data": data, "finishReason": finish}],
    }


def _r1(completion: Completion) -> dict[str, Any]:
    reason = "length" if completion.stop == "length" else "stop"
    return {"choices": [{"text": completion.text, "stop_reason": reason}]}


def _prompt(body: Any) -> Prompt:
    """Convert any of the request bodies above to a prompt."""
    dumped = body.model_dump()
    # Without what an open body has in addition: that may be anything.
    values = {name: dumped[name] for name in type(body).model_fields}
    limit = values.get("max_gen_len") or values.get("max_tokens") or values.get("maxTokens") or 1
    stop = values.get("stop") or values.get("stop_sequences") or values.get("stopSequences") or ()
    question = values.get("prompt") or values.get("message") or ""
    history = [
        Turn(str(turn.get("role", "user")).lower(), str(turn.get("message", "")))
        for turn in values.get("chat_history") or ()
    ]
    output = getattr(body, "response_format", None)
    return Prompt(
        turns=(*history, Turn("user", question)),
        system=values.get("preamble") or "",
        max_tokens=limit,
        stop_sequences=tuple(stop),
        temperature=values.get("temperature"),
        top_p=values.get("top_p") or values.get("topP") or values.get("p"),
        schema=output.schema_ if output else None,
        wants_json=bool(output and output.type == "json_object"),
    )


def _stream_llama(head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Yield one event per piece of text. Only the first event counts the prompt's tokens."""
    count, prompt_tokens = 0, head.input_tokens
    for piece in pieces:
        if isinstance(piece, Piece) and piece.kind != "text":
            continue
        is_last = isinstance(piece, Completion)
        count += 1
        yield {
            "generation": "" if is_last else piece.text,
            "prompt_token_count": prompt_tokens if count == 1 else None,
            "generation_token_count": piece.output_tokens
            if isinstance(piece, Completion)
            else count,
            "stop_reason": _llama(piece)["stop_reason"] if isinstance(piece, Completion) else None,
        }


def _stream_member(
    shape: Callable[[Completion], dict[str, Any]],
) -> Callable[[Head, Pieces], Iterator[dict[str, Any]]]:
    """Return a stream of a response's only member (`outputs` or `choices`), a piece at a time."""

    def stream(_head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
        for piece in pieces:
            if isinstance(piece, Completion):
                yield shape(replace(piece, text=""))
            elif piece.kind == "text":
                ((name, _),) = shape(_NOTHING).items()
                yield {name: [{"text": piece.text, "stop_reason": None}]}

    return stream


def _stream_command(_head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Yield pieces of text, as the model sends them for a request with `stream`."""
    for piece in pieces:
        if isinstance(piece, Completion):
            reason = _COHERE_REASONS[piece.stop]
            yield {"index": 0, "is_finished": True, "finish_reason": reason}
        elif piece.kind == "text":
            yield {"index": 0, "text": piece.text, "is_finished": False}


def _stream_command_r(_head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Yield the events of Cohere's chat stream."""
    yield {"event_type": "stream-start", "is_finished": False}
    for piece in pieces:
        if isinstance(piece, Completion):
            body = _command_r(piece)
            yield {
                "event_type": "stream-end",
                "is_finished": True,
                "finish_reason": body["finish_reason"],
                "response": body,
            }
        elif piece.kind == "text":
            yield {"event_type": "text-generation", "is_finished": False, "text": piece.text}


def _family(
    name: str,
    models: str,
    body: type[BaseModel],
    shape: Callable[[Completion], dict[str, Any]],
    stream: Callable[[Head, Pieces], Iterator[dict[str, Any]]] | None,
) -> Family:
    def answer(checked: Any, context: Context) -> Answer:
        completion = context.backend.complete(context.model_id, _prompt(checked))
        return Answer(shape(completion), completion.input_tokens, completion.output_tokens)

    return Family(
        name=name,
        models=re.compile(models),
        body=body,
        answer=answer,
        prompt=_prompt,
        stream=stream,
        has_converse=True,
    )


LLAMA = _family("llama", r"meta\.llama.+", LlamaBody, _llama, _stream_llama)
MISTRAL = _family(
    "mistral",
    r"mistral\.(mistral-7b|mixtral|mistral-small|mistral-large-2402).+",
    MistralBody,
    _mistral,
    _stream_member(_mistral),
)
COMMAND_R = _family(
    "command-r", r"cohere\.command-r.+", CommandRBody, _command_r, _stream_command_r
)
COMMAND = _family(
    "command",
    r"cohere\.command-(?!r)(light-)?text.+",
    CommandBody,
    _command,
    _stream_command,
)
JURASSIC = _family(
    "jurassic",
    r"ai21\.j2.+",
    JurassicBody,
    _jurassic,
    None,  # does not stream: https://github.com/langchain-ai/langchainjs/issues/2645
)
DEEPSEEK_R1 = _family("deepseek-r1", r"deepseek\.r1.*", R1Body, _r1, _stream_member(_r1))
