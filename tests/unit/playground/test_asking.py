"""A question as events: pieces in order, tools, pictures, vectors, and errors as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from bedrock_emulator.answers.png import draw_png
from bedrock_emulator.errors import ServiceError
from bedrock_emulator.wire.event_stream import CONTENT_TYPE, encode_event, encode_exception
from bedrock_emulator.wire.service_model import service_model
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.config import TokenPrices
from bedrock_spark.errors import AnswerCutOffError, InvokeRecordError, InvokeRefusedError
from bedrock_spark.families import family_by_name
from bedrock_spark.families.endings import Ending
from bedrock_spark.families.tool_calls import ToolCall
from bedrock_spark.playground import asking
from bedrock_spark.playground.asking import Question, ask
from bedrock_spark.playground.embeddings import Vector
from bedrock_spark.playground.events import (
    Ended,
    Event,
    Failed,
    PictureMade,
    ReasoningPiece,
    TextPiece,
    Timing,
    ToolCallBegun,
    ToolInputPiece,
    VectorMade,
)
from bedrock_spark.playground.prices import CallPrice
from tests.unit.fakes import CLAUDE, CannedHttp, FakeClock, aws_failure

Canned = Callable[..., CannedHttp]
AWS = AwsSettings("us-east-1")
BODY = b'{"messages":[{"role":"user","content":"4711-secret words of a prompt"}]}'
PRICE = CallPrice(TokenPrices(input=Decimal(1), output=Decimal(2)), Decimal("0.04"))


@pytest.fixture(autouse=True)
def _one_client(runtime: Any, bedrock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the client whose replies a test gives."""
    monkeypatch.setattr(asking, "runtime_client", lambda *_: runtime)


def question(family: str = "anthropic", body: bytes = BODY, model_id: str = CLAUDE) -> Question:
    model = ServedModel(model_id, family_by_name(family), model_id)
    return Question(model, body, AWS, PRICE)


def stream(*chunks: Any) -> tuple[int, bytes, dict[str, str]]:
    """Return the reply that streams these chunks; bytes are sent as they are."""
    shape = service_model("bedrock-runtime").operation_model("InvokeModelWithResponseStream")
    body = shape.output_shape.members["body"]
    events = (
        chunk
        if isinstance(chunk, bytes)
        else encode_event(body, "chunk", {"bytes": json.dumps(chunk).encode()})
        for chunk in chunks
    )
    return 200, b"".join(events), {"Content-Type": CONTENT_TYPE}


def started(**block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "content_block": block}


def delta(**values: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "delta": values}


BEGUN = {"type": "message_start", "message": {"usage": {"input_tokens": 30}}}
STOPPED = {
    "type": "message_delta",
    "delta": {"stop_reason": "tool_use"},
    "usage": {"output_tokens": 40},
}


def test_a_stream_is_pieces_in_the_order_in_which_they_come(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """Reasoning, text, and each tool call with its name before its input."""
    chunks = (
        BEGUN,
        delta(thinking="hm "),
        delta(text="I "),
        delta(text="look"),
        started(type="tool_use", id="c1", name="look", input={}),
        delta(partial_json='{"a":'),
        delta(partial_json="1}"),
        started(type="tool_use", id="c2", name="see", input={}),
        delta(partial_json="{}"),
        STOPPED,
    )
    canned(runtime, stream(*chunks))
    *pieces, end = list(ask(question(), clock))
    assert pieces == [
        ReasoningPiece("hm "),
        TextPiece("I "),
        TextPiece("look"),
        ToolCallBegun("look", "c1"),
        ToolInputPiece('{"a":'),
        ToolInputPiece("1}"),
        ToolCallBegun("see", "c2"),
        ToolInputPiece("{}"),
    ]
    assert isinstance(end, Ended)
    assert (end.answer.text, end.answer.reasoning) == ("I look", "hm ")
    assert end.answer.tool_input == '{"a":1}'
    assert end.calls == (ToolCall("look", "c1", '{"a":1}'), ToolCall("see", "c2", "{}"))
    assert (end.answer.input_tokens, end.answer.output_tokens) == (30, 40)
    assert (end.ending, end.is_streamed) == (Ending.TOOL_USE, True)
    assert json.loads(end.output) == list(chunks)
    # 30 tokens at 1 dollar, 40 at 2 dollars per 1,000.
    assert end.cost == Decimal("0.11")


def test_chunks_of_a_failed_attempt_are_not_part_of_the_answer(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """The call is repeated until its first piece, and the time of the waits is the user's."""
    broken = encode_exception(ServiceError("ModelStreamErrorException", "no"))
    canned(runtime, stream(BEGUN, broken), stream(delta(text="yes"), STOPPED))
    *_, end = list(ask(question(), clock))
    assert isinstance(end, Ended)
    assert json.loads(end.output) == [delta(text="yes"), STOPPED]
    wait = pytest.approx(clock.waits[0], abs=1e-3)
    assert end.timing == Timing(wait, wait)


def test_a_stream_that_the_service_refuses_becomes_a_whole_answer(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    refusal = aws_failure("ValidationException", 400, "The model is unsupported for streaming.")
    output = {"content": [{"type": "text", "text": "whole"}], "stop_reason": "end_turn"}
    http = canned(runtime, refusal, (200, output))
    piece, end = list(ask(question(), clock))
    assert piece == TextPiece("whole")
    assert isinstance(end, Ended)
    assert (end.is_streamed, json.loads(end.output)) == (False, output)
    assert len(http.sent) == 2


def test_without_a_stream_all_parts_come_at_once(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """With every tool call, as the answer has them."""
    output = {
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    canned(runtime, (200, output))
    *pieces, end = list(ask(question(), clock, streams=False))
    assert pieces == [
        ReasoningPiece("hm"),
        TextPiece("x"),
        ToolCallBegun("look", "c1"),
        ToolInputPiece('{"a":1}'),
    ]
    assert isinstance(end, Ended)
    assert json.loads(end.output) == output


def test_pictures_have_their_seed_and_a_price_for_each(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    png = draw_png("a cat", 64, 32)
    body = b'{"imageGenerationConfig":{"seed":42}}'
    canned(runtime, (200, {"images": [png, png], "error": None}))
    first, second, end = list(ask(question("amazon_images", body), clock))
    assert isinstance(first, PictureMade)
    assert isinstance(second, PictureMade)
    assert [each.picture.number for each in (first, second)] == [1, 2]
    assert (first.picture.width, first.picture.height, first.picture.seed) == (64, 32, 42)
    assert isinstance(end, Ended)
    assert end.cost == Decimal("0.08")


def test_vectors_are_counted_by_the_headers_if_the_answer_counts_nothing(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """Cohere's answers have no counts; the service sends them in headers."""
    headers = {
        "x-amzn-bedrock-input-token-count": "7",
        "x-amzn-bedrock-output-token-count": "0",
    }
    output = {"embeddings": {"float": [[3.0, 4.0]], "int8": [[1, 2]]}}
    canned(runtime, (200, output, headers))
    one, two, end = list(ask(question("cohere_embed"), clock))
    assert one == VectorMade(Vector((3.0, 4.0)))
    assert two == VectorMade(Vector((1.0, 2.0), "int8"))
    assert isinstance(end, Ended)
    assert (end.answer.input_tokens, end.answer.output_tokens) == (7, None)
    assert end.cost == Decimal("0.007")


def test_an_answer_that_the_family_cannot_read_is_there_as_json(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """Also one that is no object."""
    canned(runtime, (200, {"other": 1}), (200, [1]))
    for output in ({"other": 1}, [1]):
        (end,) = list(ask(question("raw"), clock))
        assert isinstance(end, Ended)
        assert (json.loads(end.output), end.answer.text, end.cost) == (output, None, None)


def failed(events: list[Event]) -> Failed:
    last = events[-1]
    assert isinstance(last, Failed)
    return last


def test_an_error_is_the_last_event_and_quotes_no_prompt(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """The service refused the body: nothing is billed."""
    message = "messages.0: 4711-secret words of a prompt is wrong"
    canned(runtime, aws_failure("ValidationException", 400, message))
    end = failed(list(ask(question(), clock)))
    assert isinstance(end.error, InvokeRecordError)
    assert end.message == f"{CLAUDE}: messages.0: … is wrong"
    assert end.is_billed is False


def test_an_answer_that_is_cut_off_was_billed(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """The pieces before are shown."""
    broken = encode_exception(ServiceError("ModelStreamErrorException", "it fell over"))
    canned(runtime, stream(BEGUN, delta(text="half"), broken))
    piece, end = list(ask(question(), clock))
    assert piece == TextPiece("half")
    assert isinstance(end, Failed)
    assert isinstance(end.error, AnswerCutOffError)
    assert end.message == "the answer is cut off: it fell over"
    assert (end.is_billed, end.timing.first) == (True, 0.0)


def test_a_refused_model_says_what_to_do(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """A known refusal has its advice, another one the permissions to check."""
    canned(
        runtime,
        aws_failure("ValidationException", 400, "The provided model identifier is invalid."),
        aws_failure("AccessDeniedException", 403, "You may not."),
    )
    end = failed(list(ask(question(), clock)))
    assert isinstance(end.error, InvokeRefusedError)
    assert end.message.endswith("Check the id, and that the Region has the model.")
    end = failed(list(ask(question(), clock)))
    assert "You may not. Check the id, its Region, and bedrock:InvokeModel" in end.message
    assert end.is_billed is False


def test_no_reply_may_be_billed(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """It is asked again, five times in all; each call may have been answered."""
    canned(runtime, *[aws_failure("ModelTimeoutException", 408, "slow")] * 5)
    end = failed(list(ask(question(), clock)))
    assert end.is_billed is True
    assert end.timing.all == pytest.approx(sum(clock.waits))


def test_a_closed_iterator_closes_the_stream(
    runtime: Any, canned: Canned, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a person who has seen enough does not pay for the rest."""
    closed: list[bool] = []
    http = canned(runtime, stream(BEGUN, delta(text="one"), delta(text="two"), STOPPED))
    answer = http._answer

    def noting(request: Any, **more: Any) -> Any:
        reply = answer(request, **more)
        close = reply.raw.close
        reply.raw.close = lambda: (closed.append(True), close())
        return reply

    runtime.meta.events.unregister("before-send", answer)
    runtime.meta.events.register_first("before-send", noting)
    try:
        events = ask(question(), clock)
        assert next(events) == TextPiece("one")
        assert closed == []
        events.close()
    finally:
        runtime.meta.events.unregister("before-send", noting)
    assert closed
