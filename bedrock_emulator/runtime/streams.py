"""InvokeModelWithResponseStream and ConverseStream: the pieces of answers as events.

What goes wrong before the first piece is an error of the call. Later, it is an event of the stream.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from botocore.model import StructureShape

from bedrock_emulator.answers.prompt import Completion, Piece, Pieces, PromptError
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.errors import DroppedConnectionError, ServiceError, invalid
from bedrock_emulator.families.family import Head
from bedrock_emulator.families.nova import events_of
from bedrock_emulator.runtime.invoke import PAID_ANSWER, Call, RuntimeApi, used_tokens
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.usage import CallTokens
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.event_stream import CONTENT_TYPE, encode_event, encode_exception
from bedrock_emulator.wire.serialization import dump
from bedrock_emulator.wire.service_model import service_model

log = logging.getLogger(__name__)

_HEADERS = [("Content-Type", CONTENT_TYPE)]
_BROKEN = "The model failed while it streamed its answer."


class StreamApi:
    """The two streaming operations."""

    def __init__(self, world: EmulatorState, runtime: RuntimeApi) -> None:
        self._world = world
        self._runtime = runtime

    def invoke(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer InvokeModelWithResponseStream.

        Raise ValidationException if the family does not stream.
        """
        operation = "InvokeModelWithResponseStream"
        if self._runtime.find_target(params["modelId"], region).family.stream is None:
            raise invalid("The model is unsupported for streaming.")
        call = self._runtime.admit_body(params, region, operation)
        answer = _Answer(self._runtime, call, call.question.target.family.backend)
        shape = _stream_shape(operation)
        events = (encode_event(shape, "chunk", {"bytes": dump(c)}) for c in _chunks(answer))
        return {
            "body": _Events(self._with_faults(answer, shape, events), answer),
            "contentType": "application/json",
            "@headers": _HEADERS,
            PAID_ANSWER: answer.number,
        }

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer ConverseStream."""
        call = self._runtime.admit_conversation(params, region, "ConverseStream")
        answer = _Answer(self._runtime, call, lambda backend: backend)
        shape = _stream_shape("ConverseStream")
        events = (encode_event(shape, name, value) for name, value in _talk(answer))
        return {
            "stream": _Events(self._with_faults(answer, shape, events), answer),
            "@headers": _HEADERS,
            PAID_ANSWER: answer.number,
        }

    def _with_faults(
        self, answer: _Answer, shape: StructureShape, events: Iterator[bytes]
    ) -> Iterator[bytes]:
        """Yield the events.

        If the fault script says so, yield only half of them, then an error event or a dropped
        connection. Then the answer is noted as lost.
        """
        operation = answer.call.operation
        script = self._world.faults.current.operation(operation)
        seed, digest = self._world.faults.seed, answer.call.question.digest.hex()
        if script and draw(seed, "stream", operation, digest) < script.stream_error_rate:
            yield from _half(events)
            answer.lose()
            yield encode_exception(_stream_error(script.stream_error))
        elif script and draw(seed, "stream-drop", operation, digest) < script.stream_drop_rate:
            yield from _half(events)
            answer.lose()
            raise DroppedConnectionError
        else:
            yield from self._until_error(answer, shape, events)

    def _until_error(
        self, answer: _Answer, shape: StructureShape, events: Iterator[bytes]
    ) -> Iterator[bytes]:
        operation = answer.call.operation
        try:
            yield from events
        except ServiceError as exc:
            is_known = _event_name(exc.code) in shape.members
            code = exc.code if is_known else _in_stream(exc.code)
            error = _stream_error(code, exc.message)
        except ConnectionResetError:  # the client has gone
            raise
        except Exception:
            log.exception("%s failed", operation)
            message = "The emulator failed; its log has the traceback."
            error = ServiceError("InternalServerException", message)
        else:
            return
        answer.lose()
        self._world.usage.count_error(operation, error.code)
        yield encode_exception(error)


class _Answer:
    """The answer to a call while it is written: its pieces, and then its bill.

    The constructor waits for the first piece, and raises what goes wrong until then.
    """

    def __init__(self, runtime: RuntimeApi, call: Call, wrap: Any) -> None:
        prompt = call.question.prompt
        if prompt is None:
            raise invalid("The model is unsupported for streaming.")
        self.call = call
        self.started = time.monotonic()
        self._runtime = runtime
        model_id = call.context.model_id
        try:
            self._pieces: Pieces = wrap(call.context.backend).stream(model_id, prompt)
            self._first = next(self._pieces)
        except PromptError as exc:
            raise invalid(exc.message) from exc
        input_tokens, caching = count_tokens(prompt.text), call.caching
        counts = caching.counts(input_tokens) if caching is not None else (input_tokens, None)
        self.head = Head(model_id, call.question.digest.hex(), *counts)
        self.whole: Completion | None = None
        self._written = ""
        self._is_open = True
        self.number = runtime.bill(call, CallTokens())

    def pieces(self) -> Pieces:
        """Yield the pieces of the answer."""
        yield self._note(self._first)
        for piece in self._pieces:
            yield self._note(piece)

    def _note(self, piece: Piece | Completion) -> Piece | Completion:
        if isinstance(piece, Completion):
            self.whole = piece
        else:
            self._written += piece.text
        return piece

    def lose(self) -> None:
        """Note that the caller did not get the whole answer."""
        self._runtime.lose(self.number)

    def close(self) -> None:
        """End the answer, and bill the tokens of what was written. May be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        if self.whole is None:
            self.lose()
            head = self.head
            used = used_tokens(head.input_tokens, count_tokens(self._written), head.cache)
        else:
            whole = self.whole
            used = used_tokens(whole.input_tokens, whole.output_tokens, whole.cache)
        self._runtime.bill_tokens(self.call, used)


class _Events(Iterator[bytes]):
    """The body of a reply. The server closes it when it was sent, or when the client has gone."""

    def __init__(self, events: Iterator[bytes], answer: _Answer) -> None:
        self._events = events
        self._answer = answer

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        self._answer.close()


def _chunks(answer: _Answer) -> Iterator[dict[str, Any]]:
    """Yield the chunks of the family; the last has Bedrock's own token counts and latencies."""
    stream, guard = answer.call.question.target.family.stream, answer.call.guard
    assert stream is not None
    ends: list[dict[str, Any]] = []
    for chunk in stream(answer.head, answer.pieces()):
        marked = chunk if guard is None else guard.mark_chunk(chunk)
        if answer.whole is None:
            yield marked
        else:
            ends.append(marked)
    answer.close()
    yield from ends[:-1]
    assert answer.whole is not None
    metrics = {
        "inputTokenCount": answer.whole.input_tokens,
        "outputTokenCount": answer.whole.output_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    cache = answer.whole.cache
    if cache is not None:
        metrics["cacheReadInputTokenCount"] = cache.read
        metrics["cacheWriteInputTokenCount"] = cache.written
    yield {**ends[-1], "amazon-bedrock-invocationMetrics": metrics}


def _talk(answer: _Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of ConverseStream."""
    guard = answer.call.guard
    for name, value in events_of(answer.head, answer.pieces()):
        if name == "metadata":
            answer.close()
            latency = int((time.monotonic() - answer.started) * 1000)
            yield name, {**value, "metrics": {"latencyMs": latency}}
        elif name == "messageStop" and guard is not None and guard.has_intervened:
            yield name, {**value, "stopReason": "guardrail_intervened"}
        else:
            yield name, value


def _half(events: Iterator[bytes]) -> list[bytes]:
    all_events = list(events)
    return all_events[: len(all_events) // 2]


def _event_name(code: str) -> str:
    return code[0].lower() + code[1:]


def _in_stream(code: str) -> str:
    """Return the code that an error of a call has in a stream, which has fewer errors."""
    is_of_model = code == "ModelErrorException"
    return "ModelStreamErrorException" if is_of_model else "InternalServerException"


def _stream_error(code: str, message: str = _BROKEN) -> ServiceError:
    is_of_model = code == "ModelStreamErrorException"
    fields = {"originalStatusCode": 500, "originalMessage": message} if is_of_model else {}
    return ServiceError(code, message, fields)


def _stream_shape(operation: str) -> StructureShape:
    shape = service_model("bedrock-runtime").operation_model(operation).output_shape
    payload = shape.serialization["payload"]
    stream_shape: StructureShape = shape.members[payload]
    return stream_shape
