"""Embedding families other than Titan Text Embeddings: Cohere Embed, Titan and Nova Multimodal."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

from pydantic import Field, model_validator

from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.families.family import Answer, Body, Context, Family

_COHERE_V3_DIMENSIONS = 1024
# Quantisation of a value v in [-1, 1]: int8 is round(127 v), uint8 is round(127 v) + 128.
_SCALES = {"float": 1.0, "int8": 127.0, "uint8": 127.0}


class CohereBody(Body):
    """The request body of Cohere Embed.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
    """

    texts: list[str] | None = Field(default=None, min_length=1, max_length=96)
    images: list[str] | None = Field(default=None, min_length=1, max_length=1)
    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"]
    truncate: Literal["NONE", "START", "LEFT", "END", "RIGHT"] | None = None
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]] | None = None

    @model_validator(mode="after")
    def _has_one(self) -> CohereBody:
        if (self.texts is None) == (self.images is None):
            raise ValueError("exactly one of texts and images must be given")
        return self


class CohereTextPart(Body):
    """A text of mixed content."""

    type: Literal["text"]
    text: str = Field(min_length=1)


class CohereImagePart(Body):
    """An image of mixed content: a data URI."""

    type: Literal["image_url"]
    image_url: str = Field(pattern=r"^data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]+$")


class CohereInput(Body):
    """Texts and images that get one vector."""

    content: list[CohereTextPart | CohereImagePart] = Field(min_length=1)


class CohereV4Body(Body):
    """The request body of Cohere Embed v4.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html
    """

    texts: list[str] | None = Field(default=None, min_length=1, max_length=96)
    images: list[str] | None = Field(default=None, min_length=1, max_length=96)
    inputs: list[CohereInput] | None = Field(default=None, min_length=1, max_length=96)
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    truncate: Literal["NONE", "LEFT", "RIGHT"] | None = None
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]] | None = None
    output_dimension: Literal[256, 512, 1024, 1536] = 1536
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)

    @model_validator(mode="after")
    def _has_one(self) -> CohereV4Body:
        if [self.texts, self.images, self.inputs].count(None) != 2:
            raise ValueError("exactly one of texts, images and inputs must be given")
        return self


class NovaText(Body):
    """The text of a Nova embedding."""

    truncationMode: Literal["START", "END", "NONE"]  # noqa: N815 - the wire's name
    value: str = Field(min_length=1)


class NovaImage(Body):
    """The image of a Nova embedding."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: dict[Literal["bytes"], str]
    detailLevel: Literal["STANDARD_IMAGE", "DOCUMENT_IMAGE"] | None = None  # noqa: N815


class NovaParams(Body):
    """The one input of a Nova embedding, and what its vector is for."""

    embeddingPurpose: Literal[  # noqa: N815
        "GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "IMAGE_RETRIEVAL",
        "VIDEO_RETRIEVAL", "DOCUMENT_RETRIEVAL", "AUDIO_RETRIEVAL", "CLASSIFICATION", "CLUSTERING",
    ]  # fmt: skip
    embeddingDimension: Literal[256, 384, 1024, 3072] = 3072  # noqa: N815
    text: NovaText | None = None
    image: NovaImage | None = None

    @model_validator(mode="after")
    def _has_one(self) -> NovaParams:
        if (self.text is None) == (self.image is None):
            raise ValueError("exactly one of text and image must be given")
        return self


class NovaEmbedBody(Body):
    """The request body of Nova's multimodal embeddings, without sounds and videos.

    https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html
    """

    schemaVersion: Literal["nova-multimodal-embed-v1"] = "nova-multimodal-embed-v1"  # noqa: N815
    taskType: Literal["SINGLE_EMBEDDING"]  # noqa: N815
    singleEmbeddingParams: NovaParams  # noqa: N815


class MultimodalBody(Body):
    """The request body of Titan Multimodal Embeddings.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html
    """

    inputText: str | None = None  # noqa: N815 - the wire's name
    inputImage: str | None = None  # noqa: N815
    embeddingConfig: dict[str, int] | None = None  # noqa: N815

    @model_validator(mode="after")
    def _has_input(self) -> MultimodalBody:
        if not self.inputText and not self.inputImage:
            raise ValueError("inputText or inputImage must be given")
        length = (self.embeddingConfig or {}).get("outputEmbeddingLength", 1024)
        if length not in (256, 384, 1024):
            raise ValueError("outputEmbeddingLength must be 256, 384 or 1024")
        return self


def answer_cohere(body: CohereBody, context: Context) -> Answer:
    """Answer in Cohere's response format.

    `embeddings` is a list of vectors or, if the request has `embedding_types`, one list per type.
    """
    inputs = body.texts or [_image_text(image) for image in body.images or []]
    return _cohere_answer(body, context, inputs, _COHERE_V3_DIMENSIONS)


def answer_cohere_v4(body: CohereV4Body, context: Context) -> Answer:
    """Answer in Cohere's response format, one vector for each input."""
    inputs = body.texts or [_image_text(image) for image in body.images or []]
    inputs = inputs or [_mixed_text(one) for one in body.inputs or []]
    return _cohere_answer(body, context, inputs, body.output_dimension)


def _cohere_answer(
    body: CohereBody | CohereV4Body, context: Context, inputs: list[str], dimensions: int
) -> Answer:
    vectors = [context.backend.embed(context.model_id, text, dimensions) for text in inputs]
    tokens = sum(count_tokens(text) for text in inputs)
    response: dict[str, Any] = {
        "id": hashlib.blake2b("\x1f".join(inputs).encode("utf-8", "replace")).hexdigest()[:32],
        "texts": body.texts or [],
    }
    if body.embedding_types:
        by_type = {kind: [_as_type(v, kind) for v in vectors] for kind in body.embedding_types}
        response |= {"response_type": "embeddings_by_type", "embeddings": by_type}
    else:
        response |= {"response_type": "embeddings_floats", "embeddings": vectors}
    return Answer(response, tokens, 0)


def _mixed_text(given: CohereInput) -> str:
    parts = given.content
    return " ".join(p.text if p.type == "text" else _image_text(p.image_url) for p in parts)


def answer_nova(body: NovaEmbedBody, context: Context) -> Answer:
    """Answer in Nova's response format."""
    params = body.singleEmbeddingParams
    text = params.text.value if params.text is not None else ""
    image = _image_text(params.image.source["bytes"]) if params.image is not None else ""
    vector = context.backend.embed(context.model_id, text or image, params.embeddingDimension)
    kind = "TEXT" if text else "IMAGE"
    return Answer(
        {"embeddings": [{"embeddingType": kind, "embedding": vector}]}, count_tokens(text), 0
    )


def _as_type(vector: list[float], kind: str) -> list[float] | list[int]:
    if kind == "float":
        return vector
    if kind in _SCALES:
        shift = 128 if kind == "uint8" else 0
        return [round(value * _SCALES[kind]) + shift for value in vector]
    # One bit per dimension, 1 if the value is positive; eight bits to a number. The numbers of
    # `binary` are signed: those of `ubinary` minus 128.
    shift = 128 if kind == "binary" else 0
    packed = []
    for start in range(0, len(vector), 8):
        bits = "".join("1" if value > 0 else "0" for value in vector[start : start + 8])
        packed.append(int(bits, 2) - shift)
    return packed


def answer_multimodal(body: MultimodalBody, context: Context) -> Answer:
    """Answer in Titan's response format. An image counts as one word, made of its hash."""
    length = (body.embeddingConfig or {}).get("outputEmbeddingLength", 1024)
    text = body.inputText or ""
    image = _image_text(body.inputImage) if body.inputImage else ""
    vector = context.backend.embed(context.model_id, f"{text} {image}".strip(), length)
    tokens = count_tokens(text)
    return Answer({"embedding": vector, "inputTextTokenCount": tokens, "message": None}, tokens, 0)


def _image_text(image: str) -> str:
    return f"image{hashlib.blake2b(image.encode(), digest_size=8).hexdigest()}"


COHERE_EMBED = Family(
    name="cohere-embed",
    models=re.compile(r"cohere\.embed-(english|multilingual).+"),
    body=CohereBody,
    answer=answer_cohere,
    output_modalities=("EMBEDDING",),
)
COHERE_EMBED_V4 = Family(
    name="cohere-embed-v4",
    models=re.compile(r"cohere\.embed-v4.*"),
    body=CohereV4Body,
    answer=answer_cohere_v4,
    input_modalities=("TEXT", "IMAGE"),
    output_modalities=("EMBEDDING",),
)
NOVA_EMBED = Family(
    name="nova-embed",
    models=re.compile(r"amazon\.nova-.*embed.*"),
    body=NovaEmbedBody,
    answer=answer_nova,
    input_modalities=("TEXT", "IMAGE"),
    output_modalities=("EMBEDDING",),
)
TITAN_MULTIMODAL = Family(
    name="titan-multimodal",
    models=re.compile(r"amazon\.titan-embed-image.*"),
    body=MultimodalBody,
    answer=answer_multimodal,
    input_modalities=("TEXT", "IMAGE"),
    output_modalities=("EMBEDDING",),
)
