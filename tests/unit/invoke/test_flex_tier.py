"""The flex tier is used while it serves in time, and nothing is asked twice because of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bedrock_spark.errors import (
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    InvokeThrottledError,
    ServiceTierError,
)
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke.caller import Answered, InvokeOptions, ModelCaller
from bedrock_spark.invoke.flex_tier import (
    BUSY_CALLS,
    BUSY_IN_A_ROW,
    DEADLINE_SECONDS,
    PAUSE_SECONDS,
    FlexTier,
    FlexWait,
)
from bedrock_spark.invoke.rate_limit import RateLimiter
from tests.unit.fakes import FakeClock

BODY = b'{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
OUTPUT = {"content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 3}}


def aws_failure(code: str, message: str, status: int) -> ClientError:
    error = {"Error": {"Code": code, "Message": message}}
    return ClientError({**error, "ResponseMetadata": {"HTTPStatusCode": status}}, "InvokeModel")  # type: ignore[typeddict-item]


THROTTLED = aws_failure("ThrottlingException", "Too many requests", 429)
UNAVAILABLE = aws_failure("ServiceUnavailableException", "Try again", 503)
BROKEN = aws_failure("ModelErrorException", "broken", 424)
NO_FLEX = aws_failure(
    "ValidationException", "The provided service tier is not supported for this model", 400
)


class Reply:
    def __init__(self, text: bytes) -> None:
        self.text = text

    def read(self) -> bytes:
        return self.text


class FakeRuntime:
    """Answers calls at the default tier, and those at flex as the script says: errors, then ok."""

    def __init__(self, *flex: Any, forever: Any = None) -> None:
        self.script, self.forever = list(flex), forever
        self.tiers: list[str] = []
        self.at_default: ClientError | None = None

    def invoke_model(self, **parameters: Any) -> dict[str, Any]:
        tier = parameters.get("serviceTier", "default")
        self.tiers.append(tier)
        error = self.at_default
        if tier == "flex":
            error = self.script.pop(0) if self.script else self.forever
        if error is not None:
            raise error
        return {"body": Reply(json.dumps(OUTPUT).encode()), "serviceTier": tier}


def caller_of(client: Any, clock: FakeClock, flex: FlexTier | None, **more: Any) -> ModelCaller:
    values = {"model_id": "m", "attempts": 3, **more}
    return ModelCaller(
        client=client,
        family=family_by_name("anthropic"),
        limiter=RateLimiter(clock, None, None, learns=False),
        clock=clock,
        flex=flex,
        **values,
    )


def ask(client: FakeRuntime, attempts: int = 3, until: float | None = None) -> Answered:
    clock = FakeClock()
    flex = FlexTier(clock, None if until is None else clock.now() + until)
    return caller_of(client, clock, flex, attempts=attempts).answer(BODY)


@pytest.mark.parametrize(
    ("script", "attempts", "tiers"),
    [
        ([], 1, ["flex"]),
        ([THROTTLED], 1, ["flex", "flex"]),
        ([UNAVAILABLE], 1, ["flex", "flex"]),
        ([THROTTLED] * BUSY_CALLS, 1, ["flex"] * BUSY_CALLS + ["default"]),
        ([UNAVAILABLE] * 9, 1, ["flex"] * BUSY_CALLS + ["default"]),
        ([BROKEN] * 9, 2, ["flex", "default"]),
        ([NO_FLEX], 1, ["flex", "default"]),
    ],
)
def test_a_record_goes_on_at_the_default_tier(
    script: list[Any], attempts: int, tiers: list[str]
) -> None:
    """After busy calls, which use up no attempt; after a failure; and if there is no flex."""
    client = FakeRuntime(*script)
    answered = ask(client, attempts)
    assert client.tiers == tiers
    assert answered.tier == tiers[-1]
    assert json.loads(answered.output) == OUTPUT


def test_a_failure_uses_up_an_attempt_at_either_tier() -> None:
    """An answer may have been paid for: the record is not asked more often than without flex."""
    client = FakeRuntime(BROKEN)
    with pytest.raises(InvokeRetryableError, match="broken"):
        ask(client, attempts=1)
    assert client.tiers == ["flex"]


def test_near_the_deadline_flex_is_not_used() -> None:
    """It may take too long."""
    client = FakeRuntime()
    assert ask(client, until=DEADLINE_SECONDS - 1).tier == "default"
    assert ask(client, until=DEADLINE_SECONDS + 1).tier == "flex"


def test_a_record_does_not_wait_for_flex_for_long() -> None:
    """Two minutes after its first call, it goes on at the default tier."""
    clock = FakeClock()
    flex = FlexTier(clock)
    wait = FlexWait(clock.now())
    clock.sleep(119)
    assert flex.takes(wait)
    clock.sleep(2)
    assert not flex.takes(wait)
    assert flex.takes(FlexWait(clock.now()))


def test_a_model_without_flex_is_asked_for_it_once() -> None:
    """The first reply says so, and no record is lost."""
    clock, client = FakeClock(), FakeRuntime(forever=NO_FLEX)
    flex = FlexTier(clock)
    asks = caller_of(client, clock, flex)
    for _ in range(5):
        assert asks.answer(BODY).tier == "default"
    assert client.tiers == ["flex", *["default"] * 5]
    assert flex.refusal == "The provided service tier is not supported for this model"
    assert asks.limiter.throttled_calls == 0


@pytest.mark.parametrize("busy", [THROTTLED, UNAVAILABLE])
def test_a_busy_tier_does_not_slow_down_the_fallback(busy: ClientError) -> None:
    """Every third call is refused. No limit is learnt from it, and no token stays reserved."""
    clock = FakeClock()
    client = FakeRuntime(*[busy, None, None] * 100)
    limiter = RateLimiter(clock, None, None)
    asks = replace(caller_of(client, clock, FlexTier(clock)), limiter=limiter)
    answers = [asks.answer(BODY) for _ in range(200)]
    assert {answer.tier for answer in answers} == {"flex"}
    assert len(client.tiers) == 300
    assert (limiter.throttled_calls, limiter.is_limited) == (0, False)
    used = [entry.counted for entry in limiter._tokens._window]
    assert set(used) <= {0, 3}


def test_throttled_calls_at_the_default_tier_still_slow_it_down() -> None:
    """If the quota is used up, both tiers are refused, and the default one says so."""
    clock = FakeClock()
    client = FakeRuntime(forever=THROTTLED)
    flex = FlexTier(clock)
    limiter = RateLimiter(clock, None, None)
    asks = replace(caller_of(client, clock, flex), limiter=limiter)
    client.at_default = THROTTLED
    with pytest.raises(InvokeThrottledError):
        asks.answer(BODY)
    assert limiter.throttled_calls == client.tiers.count("default") > 0
    assert client.tiers.count("flex") == BUSY_CALLS


DENIED = aws_failure("AccessDeniedException", "not authorized with an explicit deny", 403)
UNKNOWN = aws_failure("ValidationException", "serviceTier flex: not enabled; prompt", 400)


@pytest.mark.parametrize("refusal", [DENIED, UNKNOWN])
def test_a_plain_run_does_without_a_tier_that_is_refused(refusal: ClientError) -> None:
    """A policy may deny it, and the user has not asked for it. No word of a body is noted."""
    clock, client = FakeClock(), FakeRuntime(forever=refusal)
    flex = FlexTier(clock)
    asks = caller_of(client, clock, flex, attempts=1)
    for _ in range(3):
        assert asks.answer(BODY).tier == "default"
    assert client.tiers == ["flex", *["default"] * 3]
    assert flex.refusal == refusal.response["Error"]["Code"]


def test_a_record_that_both_tiers_refuse_ends_with_its_own_error() -> None:
    """It says nothing about flex. After an answer of flex, a refusal is about the record."""
    clock, client = FakeClock(), FakeRuntime(UNKNOWN, None, UNKNOWN)
    flex = FlexTier(clock)
    asks = caller_of(client, clock, flex)
    answer, client.at_default = client.at_default, UNKNOWN
    with pytest.raises(InvokeRecordError):
        asks.answer(BODY)
    client.at_default = answer
    assert flex.refusal is None
    assert asks.answer(BODY).tier == "flex"
    with pytest.raises(InvokeRecordError):
        asks.answer(BODY)
    assert client.tiers == ["flex", "default", "flex", "flex"]
    assert flex.refusal is None


def test_many_busy_calls_in_a_row_pause_the_tier() -> None:
    """Then no record waits for it, until five minutes are over; an answer ends the count."""
    clock, client = FakeClock(), FakeRuntime(forever=UNAVAILABLE)
    flex = FlexTier(clock)
    asks = caller_of(client, clock, flex)
    for _ in range(10):
        assert asks.answer(BODY).tier == "default"
    assert client.tiers.count("flex") == BUSY_IN_A_ROW
    clock.sleep(PAUSE_SECONDS)
    client.tiers.clear()
    assert asks.answer(BODY).tier == "default"
    assert client.tiers == ["flex", "flex", "default"]
    clock.sleep(PAUSE_SECONDS)
    client.forever = None
    assert asks.answer(BODY).tier == "flex"
    flex.noted(InvokeRetryableError("x", error_code=503, error_type="y"), FlexWait(0))
    assert asks.answer(BODY).tier == "flex"


@pytest.mark.parametrize(
    ("message", "is_about_the_tier"),
    [
        ("The provided service tier is not supported for this model", True),
        ("service tier provided is invalid", True),
        ("Reservation not found.", True),
        ("Unsupported service_tier: flex", True),
        ("messages: the service tier is not supported", False),
        ("max_tokens: Field required", False),
    ],
)
def test_a_tier_that_the_config_names_is_an_error_of_all_records(
    message: str, is_about_the_tier: bool
) -> None:
    """Without auto there is no other tier to go to. A text inside a message may be a quotation."""
    clock = FakeClock()
    client = FakeRuntime(forever=aws_failure("ValidationException", message, 400))
    asks = caller_of(client, clock, None, options=InvokeOptions(service_tier="flex"))
    with pytest.raises(Exception, match=message[:20]) as caught:
        asks.answer(BODY)
    assert isinstance(caught.value, ServiceTierError) is is_about_the_tier
    assert isinstance(caught.value, InvokeRefusedError) is is_about_the_tier
    assert client.tiers == ["flex"]


def test_a_reply_that_does_not_name_its_tier_counts_as_the_default_one() -> None:
    """What flex was asked for may be billed at the default."""
    clock, client = FakeClock(), FakeRuntime()
    invoke = client.invoke_model
    client.invoke_model = lambda **p: {"body": invoke(**p)["body"]}  # type: ignore[method-assign]
    assert caller_of(client, clock, FlexTier(clock)).answer(BODY).tier is None
    assert client.tiers == ["flex"]
