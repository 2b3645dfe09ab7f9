"""Read embeddings of the usual shape in one step, as plain_answers.py does.

The numbers are decoded straight into a tuple of floats. That the answer may hold them twice, once
by number type, costs no Python object.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bedrock_spark.families.base import GUARDRAIL_ACTION, Answer

_Vector = tuple[float, ...]
_ERRORS = (msgspec.MsgspecError, RecursionError)


class _Output(msgspec.Struct, gc=False):
    guardrail: Any = msgspec.field(default=None, name=GUARDRAIL_ACTION)


class _Titan(_Output, gc=False, kw_only=True):
    embedding: _Vector
    inputTextTokenCount: int | None = None  # noqa: N815 - the names of the wire
    message: Any = None


class _NovaEmbedding(msgspec.Struct, gc=False):
    embedding: _Vector


class _Nova(_Output, gc=False, kw_only=True):
    embeddings: list[_NovaEmbedding]


class _ByType(msgspec.Struct, gc=False):
    floats: list[_Vector] = msgspec.field(name="float")


class _Cohere(_Output, gc=False, kw_only=True):
    embeddings: list[_Vector] | _ByType


_decode_titan = msgspec.json.Decoder(_Titan).decode
_decode_nova = msgspec.json.Decoder(_Nova).decode
_decode_cohere = msgspec.json.Decoder(_Cohere).decode


def read_titan(output: bytes) -> Answer | None:
    """Read an embedding of Titan, of a text or of an image, that came without a message."""
    try:
        answer = _decode_titan(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None or answer.message is not None or not answer.embedding:
        return None
    return Answer(embedding=answer.embedding, input_tokens=answer.inputTextTokenCount)


def read_nova(output: bytes) -> Answer | None:
    """Read an embedding of Nova."""
    try:
        answer = _decode_nova(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None or not answer.embeddings:
        return None
    return Answer(embedding=answer.embeddings[0].embedding)


def read_cohere(output: bytes) -> Answer | None:
    """Read an embedding of Cohere: the list of the first text."""
    try:
        answer = _decode_cohere(output)
    except _ERRORS:
        return None
    found = answer.embeddings
    vectors = found if isinstance(found, list) else found.floats
    if answer.guardrail is not None or not vectors or not vectors[0]:
        return None
    return Answer(embedding=vectors[0])
