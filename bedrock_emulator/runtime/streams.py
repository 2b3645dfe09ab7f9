"""InvokeModelWithResponseStream and ConverseStream: answers cut into events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.model import StructureShape

from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.families.anthropic import pieces
from bedrock_emulator.families.family import Answer
from bedrock_emulator.runtime.invoke import RuntimeApi
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.world import World
from bedrock_emulator.wire.event_stream import CONTENT_TYPE, encode_event, encode_exception
from bedrock_emulator.wire.serialization import dump
from bedrock_emulator.wire.service_model import service_model

_HEADERS = [("Content-Type", CONTENT_TYPE)]


class StreamApi:
    """The two streaming operations; the answer itself is `RuntimeApi`'s."""

    def __init__(self, world: World, runtime: RuntimeApi) -> None:
        self._world = world
        self._runtime = runtime

    def invoke(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        target = self._runtime.target(params["modelId"], region)
        if target.family.stream is None:
            raise invalid("The model is unsupported for streaming.")
        _, answered = self._runtime.answer_body(params, region)
        shape = _stream_shape("InvokeModelWithResponseStream")
        chunks = _with_metrics(list(target.family.stream(answered)), answered)
        events = (encode_event(shape, "chunk", {"bytes": dump(chunk)}) for chunk in chunks)
        return {
            "body": self._breaking("InvokeModelWithResponseStream", answered, list(events)),
            "contentType": "application/json",
            "@headers": _HEADERS,
        }

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        _, answered = self._runtime.answer_conversation(params, region)
        shape = _stream_shape("ConverseStream")
        events = [encode_event(shape, name, value) for name, value in _conversation(answered)]
        return {
            "stream": self._breaking("ConverseStream", answered, events),
            "@headers": _HEADERS,
        }

    def _breaking(self, operation: str, answered: Answer, events: list[bytes]) -> Iterator[bytes]:
        """Yield the events, or half of them and an error or a dropped connection, as scripted."""
        script = self._world.faults.current.operation(operation)
        seed, body = self._world.faults.seed, json.dumps(answered.body)
        half = events[: len(events) // 2]
        if script and draw(seed, "stream", operation, body) < script.stream_error_rate:
            yield from half
            yield encode_exception(_broken_by(script.stream_error))
        elif script and draw(seed, "stream-drop", operation, body) < script.stream_drop_rate:
            yield from half
            raise ConnectionAbortedError("dropped by the fault script")
        else:
            yield from events


def _broken_by(code: str) -> ServiceError:
    message = "The model failed while it streamed its answer."
    is_models = code == "ModelStreamErrorException"
    fields = {"originalStatusCode": 500, "originalMessage": message} if is_models else {}
    return ServiceError(code, message, fields)


def _stream_shape(operation: str) -> StructureShape:
    shape = service_model("bedrock-runtime").operation_model(operation).output_shape
    payload = shape.serialization["payload"]
    found: StructureShape = shape.members[payload]
    return found


def _with_metrics(chunks: list[dict[str, Any]], answered: Answer) -> list[dict[str, Any]]:
    """Return the chunks with Bedrock's own counts in the last one."""
    metrics = {
        "inputTokenCount": answered.input_tokens,
        "outputTokenCount": answered.output_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    return [*chunks[:-1], {**chunks[-1], "amazon-bedrock-invocationMetrics": metrics}]


def _conversation(answered: Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    body = answered.body
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(body["output"]["message"]["content"]):
        deltas: list[dict[str, Any]]
        tool = block.get("toolUse")
        if tool is not None:
            named = {"toolUseId": tool["toolUseId"], "name": tool["name"]}
            yield (
                "contentBlockStart",
                {"start": {"toolUse": named}, "contentBlockIndex": index},
            )
            text = json.dumps(tool["input"], ensure_ascii=False)
            deltas = [{"toolUse": {"input": piece}} for piece in pieces(text)]
        else:
            deltas = [{"text": piece} for piece in pieces(block["text"])]
        for delta in deltas:
            yield "contentBlockDelta", {"delta": delta, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": body["stopReason"]}
    yield "metadata", {"usage": body["usage"], "metrics": body["metrics"]}
