"""InvokeModelWithResponseStream and ConverseStream: answers split into events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.model import StructureShape

from bedrock_emulator.errors import DroppedConnectionError, ServiceError, invalid
from bedrock_emulator.families.family import Answer
from bedrock_emulator.families.nova import events_of
from bedrock_emulator.runtime.invoke import PAID_ANSWER, RuntimeApi
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.event_stream import CONTENT_TYPE, encode_event, encode_exception
from bedrock_emulator.wire.serialization import dump
from bedrock_emulator.wire.service_model import service_model

_HEADERS = [("Content-Type", CONTENT_TYPE)]


class StreamApi:
    """The two streaming operations. `RuntimeApi` makes the answers."""

    def __init__(self, world: EmulatorState, runtime: RuntimeApi) -> None:
        self._world = world
        self._runtime = runtime

    def invoke(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer InvokeModelWithResponseStream.

        Raise ValidationException if the family does not stream.
        """
        target = self._runtime.find_target(params["modelId"], region)
        if target.family.stream is None:
            raise invalid("The model is unsupported for streaming.")
        operation = "InvokeModelWithResponseStream"
        response, number = self._runtime.answer_body(params, region, operation)
        shape = _stream_shape(operation)
        chunks = _with_metrics(list(target.family.stream(response)), response)
        events = (encode_event(shape, "chunk", {"bytes": dump(chunk)}) for chunk in chunks)
        return {
            "body": self._with_faults(operation, response, number, list(events)),
            "contentType": "application/json",
            "@headers": _HEADERS,
            PAID_ANSWER: number,
        }

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer ConverseStream."""
        response, number = self._runtime.answer_conversation(params, region, "ConverseStream")
        shape = _stream_shape("ConverseStream")
        events = [encode_event(shape, name, value) for name, value in events_of(response)]
        return {
            "stream": self._with_faults("ConverseStream", response, number, events),
            "@headers": _HEADERS,
            PAID_ANSWER: number,
        }

    def _with_faults(
        self, operation: str, response: Answer, number: int, events: list[bytes]
    ) -> Iterator[bytes]:
        """Yield the events.

        If the fault script says so, yield only half of them, then an error event or a dropped
        connection. Then the answer with this number in the bill is noted as lost.
        """
        script = self._world.faults.current.operation(operation)
        seed, body = self._world.faults.seed, json.dumps(response.body)
        half = events[: len(events) // 2]
        if script and draw(seed, "stream", operation, body) < script.stream_error_rate:
            self._world.usage.mark_lost(number)
            yield from half
            yield encode_exception(_stream_error(script.stream_error))
        elif script and draw(seed, "stream-drop", operation, body) < script.stream_drop_rate:
            self._world.usage.mark_lost(number)
            yield from half
            raise DroppedConnectionError
        else:
            yield from events


def _stream_error(code: str) -> ServiceError:
    message = "The model failed while it streamed its answer."
    is_model_error = code == "ModelStreamErrorException"
    fields = {"originalStatusCode": 500, "originalMessage": message} if is_model_error else {}
    return ServiceError(code, message, fields)


def _stream_shape(operation: str) -> StructureShape:
    shape = service_model("bedrock-runtime").operation_model(operation).output_shape
    payload = shape.serialization["payload"]
    stream_shape: StructureShape = shape.members[payload]
    return stream_shape


def _with_metrics(chunks: list[dict[str, Any]], response: Answer) -> list[dict[str, Any]]:
    """Return the chunks, the last one with Bedrock's own token counts and latencies."""
    metrics = {
        "inputTokenCount": response.input_tokens,
        "outputTokenCount": response.output_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    return [*chunks[:-1], {**chunks[-1], "amazon-bedrock-invocationMetrics": metrics}]
