"""Sending one body to a model: the request, the retries, and the forms of an answer."""

from __future__ import annotations

import json
import math
import re
import threading
import traceback
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError

from bedrock_spark.costs.call_use import UseCounter
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.errors import (
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    InvokeThrottledError,
)
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke import caller as caller_module
from bedrock_spark.invoke.caller import InvokeOptions, ModelCaller, call_metadata
from bedrock_spark.invoke.rate_limit import RateLimiter, Reservation
from bedrock_spark.run_folder.run import new_run_id
from tests.unit.fakes import CLAUDE, PROVISIONED, CannedHttp, FakeClock, aws_failure

Canned = Callable[..., CannedHttp]
ANSWER = {
    "content": [{"type": "text", "text": "é"}],
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
BODY = b'{"max_tokens":5,"messages":[]}'
CONVERSE_BODY = b'{"messages":[{"role":"user","content":[{"text":"4711-secret"}]}]}'
CONVERSE_ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "\u00e9"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
    "metrics": {"latencyMs": 5},
}


class RecordingLimiter(RateLimiter):
    """A limiter without limits that records the calls of its methods."""

    def __init__(self) -> None:
        super().__init__(FakeClock(), None, None)
        self.acquired: list[tuple[int, int | None]] = []
        self.settled: list[int] = []

    def acquire(self, expected: int, most: int | None = None) -> Reservation:
        self.acquired.append((expected, most))
        return super().acquire(expected, most)

    def settle(self, reservation: Reservation, used: int) -> None:
        self.settled.append(used)


def caller(client: Any, clock: FakeClock, family: str = "anthropic", **more: Any) -> ModelCaller:
    values = {"model_id": CLAUDE, "limiter": RecordingLimiter(), "attempts": 4, **more}
    return ModelCaller(client=client, family=family_by_name(family), clock=clock, **values)


def test_a_body_is_sent_as_it_is(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """Byte for byte, to the model's own path; the answer is compact JSON."""
    http = canned(runtime, (200, json.dumps(ANSWER, indent=2).encode()))
    output = caller(runtime, clock, model_id=PROVISIONED).ask(BODY)
    assert output == json.dumps(ANSWER, separators=(",", ":")).encode()
    (request,) = http.sent
    assert bytes(request.body) == BODY
    assert "provisioned-model%2Fabcdefghijkl/invoke" in request.url
    assert request.headers["Content-Type"] == b"application/json"


def test_converse_has_its_own_call(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """The record's body is the request; the answer has the shape of a batch line's modelOutput."""
    http = canned(runtime, (200, CONVERSE_ANSWER))
    output = caller(runtime, clock, "converse").ask(CONVERSE_BODY)
    assert json.loads(output) == CONVERSE_ANSWER
    assert http.sent[0].url.endswith("/converse")
    assert json.loads(http.sent[0].body) == json.loads(CONVERSE_BODY)


def test_a_model_id_in_a_converse_body_is_not_used(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """The config decides which model answers."""
    http = canned(runtime, (200, CONVERSE_ANSWER))
    caller(runtime, clock, "converse").ask(b'{"modelId":"other","messages":[]}')
    assert "other" not in http.sent[0].url


def test_bytes_of_a_converse_body_are_encoded_once(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """A record's image is base64 already; boto3 wants bytes and encodes them itself."""
    image = {"image": {"format": "png", "source": {"bytes": "UE5H"}}}
    body = {"messages": [{"role": "user", "content": [image, {"text": "what is this?"}]}]}
    http = canned(runtime, (200, CONVERSE_ANSWER))
    caller(runtime, clock, "converse").ask(json.dumps(body).encode())
    assert json.loads(http.sent[0].body) == body
    image["image"]["source"]["bytes"] = "not base64!"
    with pytest.raises(InvokeRecordError, match="not base64"):
        caller(runtime, clock, "converse").ask(json.dumps(body).encode())


RETRYABLE: list[Any] = [
    aws_failure("ThrottlingException", 429),
    aws_failure("ModelNotReadyException", 429),
    aws_failure("ModelTimeoutException", 408),
    aws_failure("ModelErrorException", 424),
    aws_failure("InternalServerException", 500),
    aws_failure("ServiceUnavailableException", 503),
    ReadTimeoutError(endpoint_url="https://x"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
]


@pytest.mark.parametrize("reply", RETRYABLE)
def test_a_passing_failure_is_retried(
    runtime: Any, canned: Canned, clock: FakeClock, reply: Any
) -> None:
    """One request per try, and a wait between two tries."""
    http = canned(runtime, reply, reply, (200, ANSWER))
    assert b"content" in caller(runtime, clock).ask(BODY)
    assert len(http.sent) == 3
    assert len(clock.waits) == 2


@pytest.mark.parametrize("attempts", [1, 3])
def test_attempts_are_counted(
    runtime: Any, canned: Canned, clock: FakeClock, attempts: int
) -> None:
    """One request per attempt, and then the error of the last one."""
    http = canned(runtime, *[aws_failure("ModelTimeoutException", 408, "slow")] * attempts)
    with pytest.raises(InvokeRetryableError, match="slow") as caught:
        caller(runtime, clock, attempts=attempts).ask(BODY)
    assert len(http.sent) == attempts
    assert caught.value.error_code == 408


@pytest.mark.parametrize("code", ["ThrottlingException", "ModelNotReadyException"])
def test_a_throttled_call_uses_no_attempt(
    runtime: Any, canned: Canned, clock: FakeClock, code: str
) -> None:
    """The service did not carry it out: a busy hour must not cost a record its answer."""
    http = canned(runtime, *[aws_failure(code, 429)] * 12, (200, ANSWER))
    assert b"content" in caller(runtime, clock, attempts=1).ask(BODY)
    assert len(http.sent) == 13


def test_no_call_is_retried_after_the_deadline(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """Throttled calls included."""
    canned(runtime, *[aws_failure("ThrottlingException", 429, "slow")] * 2)
    with pytest.raises(InvokeThrottledError, match="slow"):
        caller(runtime, clock, until=clock.now() + 0.001).ask(BODY)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (aws_failure("ValidationException", 400, "too long"), InvokeRecordError),
        (aws_failure("AccessDeniedException", 403), InvokeRefusedError),
        (aws_failure("ExpiredTokenException", 403), InvokeRefusedError),
        (aws_failure("ResourceNotFoundException", 404), InvokeRefusedError),
        (
            aws_failure("ValidationException", 400, "The provided model identifier is invalid."),
            InvokeRefusedError,
        ),
    ],
)
@pytest.mark.parametrize("family", ["anthropic", "converse"])
def test_a_refusal_is_not_retried(
    runtime: Any, canned: Canned, clock: FakeClock, family: str, reply: Any, kind: type[Exception]
) -> None:
    """Whether the service refuses one record or all of them."""
    http = canned(runtime, reply)
    with pytest.raises(kind):
        caller(runtime, clock, family).ask(CONVERSE_BODY)
    assert len(http.sent) == 1
    assert clock.waits == []


def test_a_body_that_boto3_refuses_is_a_records_error(runtime: Any, clock: FakeClock) -> None:
    """Neither the error nor its traceback shows the prompt."""
    body = b'{"messages":[{"role":"user","content":"4711-secret"}]}'
    with pytest.raises(InvokeRecordError) as caught:
        caller(runtime, clock, "converse").ask(body)
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert "4711-secret" not in shown


@pytest.mark.parametrize("reply", [b"<html>", b"", b'{"a":', b'{"a":1e999}'])
def test_an_answer_that_is_not_json_is_a_records_error(
    runtime: Any, canned: Canned, clock: FakeClock, reply: bytes
) -> None:
    """It has no place in an output line. It was paid for, so there is no retry at once."""
    canned(runtime, (200, reply))
    with pytest.raises(InvokeRecordError, match="not JSON") as caught:
        caller(runtime, clock).ask(BODY)
    assert (caught.value.error_code, caught.value.error_type) == (424, "NotJson")
    assert caught.value.retry_after is None


def test_half_a_character_does_not_cost_the_answer(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """A model that stops at its limit may stop within a character, in either call."""
    canned(
        runtime,
        (200, b'{"content":[{"text":"cut \\ud83d"}]}'),
        (200, b'{"content":[{"text":"cut \xf0\x9f"}]}'),
        (200, json.dumps(CONVERSE_ANSWER).replace("\\u00e9", "cut \\ud83d").encode()),
    )
    for _ in range(2):
        output = caller(runtime, clock).ask(BODY)
        assert json.loads(output)["content"][0]["text"] == "cut \ufffd"
    output = caller(runtime, clock, "converse").ask(CONVERSE_BODY)
    assert json.loads(output)["output"]["message"]["content"][0]["text"] == "cut \ufffd"


def test_numbers_of_an_answer_keep_their_digits(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """Embeddings are not rounded."""
    canned(runtime, (200, b'{ "embedding": [0.10, 1e-7, 12345678901234567890123] }'))
    output = caller(runtime, clock, "titan_embeddings").ask(BODY)
    assert output == b'{"embedding":[0.10,1e-7,12345678901234567890123]}'


def test_tokens_are_reserved_before_and_settled_after(
    runtime: Any, canned: Canned, clock: FakeClock
) -> None:
    """First by the body's bytes and the longest answer, then by what earlier calls used."""
    throttled = aws_failure("ThrottlingException", 429)
    canned(runtime, throttled, (200, ANSWER), (200, {"x": 1}), (200, [1]))
    limiter = RecordingLimiter()
    asks = caller(runtime, clock, limiter=limiter, estimate=TokenEstimate(100))
    for _ in range(3):
        asks.ask(BODY)
    guessed = (math.ceil(len(BODY) / 4 + 100), math.ceil(len(BODY) / 4 * 1.0625 + 100))
    learnt = (3 + 4, math.ceil(3 * 1.0625 + 100))
    assert limiter.acquired == [guessed, guessed, learnt, learnt]
    assert limiter.settled == [7, 7, 7]
    assert limiter.throttled_calls == 1


def test_a_caller_is_shared_by_threads(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """Many calls in flight, each with its own answer."""
    canned(runtime, *[(200, {"n": n}) for n in range(40)])
    asks = caller(runtime, clock)
    numbers: list[int] = []

    def ask() -> None:
        for _ in range(10):
            numbers.append(json.loads(asks.ask(BODY))["n"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(40))


def test_a_call_names_its_run_and_stage(
    runtime: Any, canned: Canned, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a header as JSON, in the body of Converse, and not with a botocore that has no member."""
    pairs = {"bedrock-spark-run": "tickets-abcdefgh", "bedrock-spark-stage": "canary"}
    options = InvokeOptions(metadata=call_metadata("tickets-abcdefgh", "canary"))
    http = canned(runtime, (200, ANSWER), (200, CONVERSE_ANSWER), (200, ANSWER))
    caller(runtime, clock, options=options).ask(BODY)
    caller(runtime, clock, "converse", options=options).ask(CONVERSE_BODY)
    monkeypatch.setattr(caller_module, "_takes_metadata", lambda _: False)
    caller(runtime, clock, options=options).ask(BODY)
    header = "X-Amzn-Bedrock-Request-Metadata"
    assert json.loads(http.sent[0].headers[header]) == pairs
    assert json.loads(http.sent[1].body)["requestMetadata"] == pairs
    assert header not in http.sent[2].headers


def test_the_metadata_fits_what_converse_takes() -> None:
    """Any run id and stage, by botocore's service model."""
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = model.operation_model("Converse").input_shape.members["requestMetadata"]
    pairs = call_metadata(new_run_id("s3://bucket/Ünï code/" + "x" * 90), "fallback")
    assert len(pairs) <= shape.metadata["max"]
    for name, value in pairs:
        for text, part in ((name, shape.key), (value, shape.value)):
            assert re.fullmatch(part.metadata["pattern"], text)


def test_what_answers_use_is_counted(runtime: Any, canned: Canned, clock: FakeClock) -> None:
    """Also of the tier that the reply names; an error uses nothing."""
    canned(runtime, (200, ANSWER), (400, {"message": "no"}))
    counter = UseCounter()
    asking = caller(runtime, clock, counter=counter)
    asking.ask(BODY)
    with pytest.raises(InvokeRecordError):
        asking.ask(BODY)
    used = counter.use(2)
    assert (used.asked, used.tokens, used.flex) == (2, Tokens(3, 4), Tokens())
    assert used.quota == asking.limiter.settled[0]  # type: ignore[attr-defined]
