"""Send one body to a model and stream its answer: InvokeModelWithResponseStream, ConverseStream.

Until the first piece of the answer has arrived, the caller has seen nothing, and the call is
repeated like any other. After the first piece an error is never retried: the answer is cut off.
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
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.streaming import read_chunks
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.outputs.lines import replace_half_characters

# botocore passes on the bytes of a stream as urllib3 reads them, with urllib3's errors.
_CONNECTION_ERRORS = (HTTPError, ParserError, OSError)


def stream_answer(
    caller: ModelCaller, body: bytes, chunks: list[Json] | None = None
) -> Iterator[Answer]:
    """Yield the pieces of the answer to a body. Their counts of tokens are totals so far.

    chunks: gets the decoded chunks of the answer, each before its pieces are yielded

    Before the first piece it raises the errors of `ModelCaller.ask`, and NotStreamedError if the
    model answers only without a stream. After it, it raises AnswerCutOffError.
    """
    first_pieces, rest = retry_invoke(caller.clock, caller.attempts, caller.until)(
        _begin, caller, body, [] if chunks is None else chunks
    )
    yield from first_pieces
    try:
        yield from rest
    except InvokeError as exc:
        raise AnswerCutOffError(
            f"the answer is cut off: {exc}", error_code=exc.error_code, error_type=exc.error_type
        ) from None


def _begin(
    caller: ModelCaller, body: bytes, chunks: list[Json]
) -> tuple[list[Answer], Iterator[Answer]]:
    """Return the pieces up to the first that can be shown, and an iterator over the rest."""
    chunks.clear()  # those of an attempt that failed
    pieces = _pieces(caller, body, chunks)
    first_pieces: list[Answer] = []
    for piece in pieces:
        first_pieces.append(piece)
        if piece.text or piece.reasoning or piece.tool_input:
            break
    return first_pieces, pieces


def _pieces(caller: ModelCaller, body: bytes, chunks: list[Json]) -> Iterator[Answer]:
    """Yield the pieces of an answer.

    Raises InvokeRetryableError if the stream ends without a stop reason: then it broke off.
    """
    is_whole = False
    for piece in read_chunks(caller.family, _noted(_chunks(caller, body), chunks)):
        is_whole = is_whole or piece.stop_reason is not None
        yield piece
    if not is_whole:
        raise InvokeRetryableError(
            "the stream ended before the model did", error_code=503, error_type="EndOfStream"
        )


def _noted(stream: Iterator[Json], chunks: list[Json]) -> Iterator[Json]:
    for chunk in stream:
        chunks.append(chunk)
        yield chunk


def _chunks(caller: ModelCaller, body: bytes) -> Iterator[Json]:
    """Yield the decoded chunks of a stream. Raises InvokeError for every failure."""
    is_converse = caller.family.name == "converse"
    try:
        stream = _open_conversation(caller, body) if is_converse else _open(caller, body)
        try:
            for event in stream:
                yield event if is_converse else _decoded(event)
        finally:
            stream.close()
    except AWS_FAILURES as exc:
        # `from None`: the text of the cause may quote the body.
        raise invoke_error(exc) from None
    except _CONNECTION_ERRORS as exc:
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
        decoded = msgspec.json.decode(replace_half_characters(event["chunk"]["bytes"]))
    except (KeyError, msgspec.MsgspecError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        raise InvokeRecordError(
            "a piece of the model's answer is not JSON", error_code=424, error_type="NotJson"
        )
    return decoded
