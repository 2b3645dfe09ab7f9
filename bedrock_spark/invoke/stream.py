"""Ask a model once and read its answer as it comes: by InvokeModelWithResponseStream, or by
ConverseStream where the body is Converse's.

Until the first piece of the answer is there, nothing has been shown to anybody, and the call is
repeated like any other. What breaks after that is never repeated: the answer is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from botocore.eventstream import ParserError
from urllib3.exceptions import HTTPError

from bedrock_spark.aws.errors import AWS_FAILURES, invoke_error
from bedrock_spark.aws.retry import retry_invoke
from bedrock_spark.errors import (
    AnswerCutOffError,
    InvokeError,
    InvokeRecordError,
    InvokeRetryableError,
)
from bedrock_spark.families import Answer
from bedrock_spark.families.base import Json
from bedrock_spark.families.streaming import read_chunks
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.outputs.lines import whole_text

# botocore hands a stream's bytes on as urllib3 gives them, with urllib3's errors.
_BROKEN = (HTTPError, ParserError, OSError)


def stream_answer(caller: ModelCaller, body: bytes) -> Iterator[Answer]:
    """Yield what each piece adds to the answer to a body; counts of tokens are totals so far.

    Raises what `ModelCaller.ask` raises while nothing was yielded, NotStreamedError for a model
    that answers without a stream only, and AnswerCutOffError once the answer has begun.
    """
    begun, rest = retry_invoke(caller.clock, caller.attempts, caller.until)(_begin, caller, body)
    yield from begun
    try:
        yield from rest
    except InvokeError as exc:
        raise AnswerCutOffError(f"the answer is cut off: {exc}", **exc.ids) from None


def _begin(caller: ModelCaller, body: bytes) -> tuple[list[Answer], Iterator[Answer]]:
    """Return what comes up to the first piece that can be shown, and the rest."""
    parts = _parts(caller, body)
    begun: list[Answer] = []
    for part in parts:
        begun.append(part)
        if part.text or part.reasoning or part.tool_input:
            break
    return begun, parts


def _parts(caller: ModelCaller, body: bytes) -> Iterator[Answer]:
    """Yield the parts of an answer; a stream that stops before it says why the model did, broke."""
    is_whole = False
    for part in read_chunks(caller.family, _chunks(caller, body)):
        is_whole = is_whole or part.stop_reason is not None
        yield part
    if not is_whole:
        raise InvokeRetryableError(
            "the stream ended before the model did", error_code=503, error_type="EndOfStream"
        )


def _chunks(caller: ModelCaller, body: bytes) -> Iterator[Json]:
    """Yield a stream's chunks, decoded; whatever fails is an InvokeError."""
    is_converse = caller.family.name == "converse"
    try:
        stream = _open_conversation(caller, body) if is_converse else _open(caller, body)
        try:
            for event in stream:
                yield event if is_converse else _decoded(event)
        finally:
            stream.close()
    except AWS_FAILURES as exc:
        # `from None`: the cause's own text may hold the body.
        raise invoke_error(exc) from None
    except _BROKEN as exc:
        name = type(exc).__name__
        raise InvokeRetryableError(
            f"the connection broke ({name})", error_code=503, error_type=name
        ) from None


def _open(caller: ModelCaller, body: bytes) -> Any:
    reply = caller.client.invoke_model_with_response_stream(
        modelId=caller.model_id, body=body, **caller.options.of_invoke_model()
    )
    return reply["body"]


def _open_conversation(caller: ModelCaller, body: bytes) -> Any:
    return caller.client.converse_stream(**caller.conversation(body))["stream"]


def _decoded(event: Json) -> Json:
    try:
        decoded = msgspec.json.decode(whole_text(event["chunk"]["bytes"]))
    except (KeyError, msgspec.MsgspecError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        raise InvokeRecordError(
            "a piece of the model's answer is not JSON", error_code=424, error_type="NotJson"
        )
    return decoded
