"""A streamed answer: the request, the retries, and when an answer counts as cut off."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.wire.event_stream import CONTENT_TYPE, encode_event, encode_exception
from bedrock_emulator.wire.service_model import service_model
from bedrock_spark.errors import (
    AnswerCutOffError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    NotStreamedError,
)
from bedrock_spark.families import Answer, family_by_name
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.stream import stream_answer
from tests.unit.fakes import CLAUDE, PROVISIONED, CannedHttp, FakeClock, aws_failure

Canned = Callable[..., CannedHttp]
BODY = b'{"max_tokens":5,"messages":[{"role":"user","content":"4711-secret"}]}'
CONVERSE_BODY = b'{"messages":[{"role":"user","content":[{"text":"4711-secret"}]}]}'
TEXT = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello "}}
STARTED = {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}
STOPPED = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 4},
}
TALK = [
    ("contentBlockDelta", {"delta": {"text": "Hello "}, "contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
]


def shape_of(operation: str) -> Any:
    shape = service_model("bedrock-runtime").operation_model(operation).output_shape
    return shape.members[shape.serialization["payload"]]


def stream(*chunks: Any) -> tuple[int, bytes, dict[str, str]]:
    """Return the reply that streams these chunks; bytes are sent as they are."""
    shape = shape_of("InvokeModelWithResponseStream")
    events = (
        chunk
        if isinstance(chunk, bytes)
        else encode_event(shape, "chunk", {"bytes": json.dumps(chunk).encode()})
        for chunk in chunks
    )
    return 200, b"".join(events), {"Content-Type": CONTENT_TYPE}


def talk(*events: tuple[str, Any]) -> tuple[int, bytes, dict[str, str]]:
    shape = shape_of("ConverseStream")
    data = b"".join(encode_event(shape, name, value) for name, value in events)
    return 200, data, {"Content-Type": CONTENT_TYPE}


def broken(code: str, message: str = "no") -> bytes:
    return encode_exception(ServiceError(code, message))


def caller(client: Any, clock: FakeClock, family: str = "anthropic", **more: Any) -> ModelCaller:
    unlimited = RateLimiter(clock, None, None)
    values = {"model_id": CLAUDE, "limiter": unlimited, "attempts": 3, **more}
    return ModelCaller(client=client, family=family_by_name(family), clock=clock, **values)


def test_a_body_is_sent_as_it_is_and_its_answer_arrives_in_pieces(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """Byte for byte, to the model's own path, also if it is provisioned."""
    http = canned(runtime, stream(STARTED, TEXT, TEXT, STOPPED))
    parts = list(stream_answer(caller(runtime, clock, model_id=PROVISIONED), BODY))
    assert [part.text for part in parts if part.text] == ["Hello ", "Hello "]
    assert Answer(stop_reason="end_turn", output_tokens=4) in parts
    (request,) = http.sent
    assert bytes(request.body) == BODY
    assert "provisioned-model%2Fabcdefghijkl/invoke-with-response-stream" in request.url


def test_converse_has_its_own_stream(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """The record's body is the request."""
    http = canned(runtime, talk(*TALK))
    parts = list(stream_answer(caller(runtime, clock, "converse"), CONVERSE_BODY))
    assert [part.text for part in parts if part.text] == ["Hello "]
    assert http.sent[0].url.endswith("/converse-stream")
    assert json.loads(http.sent[0].body) == json.loads(CONVERSE_BODY)


class BreakingBody:
    """A reply's bytes, and then a broken connection."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._data
        raise ProtocolError("Connection broken: 4711-secret")

    def close(self) -> None:
        pass


BEFORE: list[Any] = [
    aws_failure("ThrottlingException", 429),
    aws_failure("ModelStreamErrorException", 424),
    stream(broken("ThrottlingException")),
    stream(STARTED, broken("ModelStreamErrorException")),
    stream(STARTED),
    stream(),
]


@pytest.mark.parametrize("reply", BEFORE)
def test_before_its_first_piece_a_stream_is_retried(
    runtime: Any, canned: Canned, clock: FakeClock, reply: Any
) -> None:
    """The caller has seen nothing. One layer retries, as for any other call."""
    http = canned(runtime, reply, reply, stream(TEXT, STOPPED))
    texts = [part.text for part in stream_answer(caller(runtime, clock), BODY) if part.text]
    assert texts == ["Hello "]
    assert (len(http.sent), len(clock.waits)) == (3, 2)


def test_attempts_are_counted(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """One request per attempt, and then the error of the last one."""
    http = canned(runtime, *[stream(broken("ModelStreamErrorException", "slow"))] * 3)
    with pytest.raises(InvokeRetryableError, match="slow"):
        list(stream_answer(caller(runtime, clock), BODY))
    assert len(http.sent) == 3


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (broken("ModelStreamErrorException", "it fell over"), "it fell over"),
        (broken("ThrottlingException", "slow"), "slow"),
        (b"", "the stream ended before the model did"),
        (b"\0\0", "the stream ended before the model did"),
        (b"\0" * 64, "the connection broke"),
        ("[1]", "not JSON"),
    ],
)
def test_after_its_first_piece_a_stream_is_cut_off_and_never_retried(
    runtime: Any, canned: Canned, clock: FakeClock, last: Any, said: str
) -> None:
    """The pieces that arrived were yielded; the error says that they are not the whole answer."""
    http = canned(runtime, stream(TEXT, last))
    parts: list[Answer] = []
    with pytest.raises(AnswerCutOffError, match=f"^the answer is cut off: .*{said}") as caught:
        parts.extend(stream_answer(caller(runtime, clock), BODY))
    assert caught.value.error_type
    assert [part.text for part in parts if part.text] == ["Hello "]
    assert (len(http.sent), clock.waits) == (1, [])


def test_a_broken_connection_shows_neither_urllib3s_error_nor_the_prompt(
    runtime: Any, canned: Canned, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore does not wrap urllib3's errors, and their text may quote the bytes."""
    _, data, headers = stream(TEXT)
    http = canned(runtime, (200, data, headers))
    answer = http._answer

    def breaking(request: Any, **more: Any) -> Any:
        reply = answer(request, **more)
        reply.raw = BreakingBody(data)
        return reply

    monkeypatch.setattr(http, "_answer", breaking)
    runtime.meta.events.unregister("before-send", answer)
    runtime.meta.events.register_first("before-send", breaking)
    with pytest.raises(
        AnswerCutOffError, match=r"the connection broke \(ProtocolError\)"
    ) as caught:
        list(stream_answer(caller(runtime, clock), BODY))
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert "4711-secret" not in shown


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (aws_failure("ValidationException", 400, "too long"), InvokeRecordError),
        (aws_failure("AccessDeniedException", 403), InvokeRefusedError),
        (aws_failure("ValidationException", 400, "The model is unsupported for streaming."),
         NotStreamedError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("family", ["anthropic", "converse"])
def test_a_refusal_is_not_retried(
    runtime: Any, canned: Canned, clock: FakeClock, family: str, reply: Any, kind: type[Exception]
) -> None:
    """Whether the service refuses the body, the model, or only the stream."""
    http = canned(runtime, reply)
    with pytest.raises(kind):
        list(stream_answer(caller(runtime, clock, family), CONVERSE_BODY))
    assert (len(http.sent), clock.waits) == (1, [])


def test_half_a_character_does_not_end_the_stream(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """A model that stops at its limit may stop within a character."""
    shape = shape_of("InvokeModelWithResponseStream")
    raw = b'{"type":"content_block_delta","delta":{"text":"cut \\ud83d"}}'
    canned(runtime, stream(encode_event(shape, "chunk", {"bytes": raw}), STOPPED))
    parts = list(stream_answer(caller(runtime, clock), BODY))
    assert parts[0].text == "cut \ufffd"
