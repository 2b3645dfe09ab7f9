"""How many tokens of the quota an output token takes, and what a limiter makes of it."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.costs.burndown import output_rate
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.invoke.rate_limit import RateLimiter
from tests.unit.fakes import PROVISIONED, FakeClock

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("model_id", "rate"),
    [
        ("anthropic.claude-v2:1", 1),
        ("anthropic.claude-instant-v1", 1),
        ("anthropic.claude-3-haiku-20240307-v1:0", 1),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", 1),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", 5),
        ("anthropic.claude-sonnet-4-20250514-v1:0", 5),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", 5),
        ("anthropic.claude-opus-5", 5),
        ("anthropic.claude-mythos-5-1", 5),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5", 5),
        (PROFILE, 5),
        (PROVISIONED, 1),
        ("amazon.nova-lite-v1:0", 1),
        ("openai.gpt-oss-120b-1:0", 1),
    ],
)
def test_output_tokens_of_claude_count_five_fold(model_id: str, rate: int) -> None:
    """Since 3.7. A profile that does not show its model is taken for a new one."""
    assert output_rate(model_id, "anthropic" if model_id == PROFILE else "any") == rate
    assert output_rate(PROFILE, "nova") == 1


def test_a_call_reserves_its_longest_answer_and_uses_its_real_one() -> None:
    """The longest answer counts as it is; a real one five-fold, and the cache's part does not."""
    estimate = TokenEstimate(500, output_rate=5)
    for _ in range(10):
        estimate.learn(b"x" * 400, 200, 30)
    assert estimate.of(b"x" * 400) == (200 + 5 * 30, 713)
    assert estimate.used(200, 30) == 350
    assert estimate.used(200, 30, cache_read=150) == 200
    assert TokenEstimate(10, output_rate=5).of(b"x" * 400) == (150, 150)


class ServiceQuota:
    """The quota as the service counts it, apart from the limiter. Every call takes `seconds`."""

    def __init__(self, clock: FakeClock, per_minute: int) -> None:
        self.clock, self.per_minute = clock, per_minute
        self.window: deque[list[float]] = deque()
        self.used = 0.0

    def begin(self, tokens: int) -> list[float] | None:
        """Return the entry of a call; None if it is throttled."""
        while self.window and self.window[0][0] <= self.clock.now() - 60:
            self.used -= self.window.popleft()[1]
        if self.used + tokens > self.per_minute:
            return None
        self.used += tokens
        self.window.append([self.clock.now(), tokens])
        return self.window[-1]

    def end(self, entry: list[float], tokens: int) -> None:
        """Count a call by the tokens that it burnt. It began less than a minute ago."""
        self.used += tokens - entry[1]
        entry[1] = tokens


@given(
    st.sampled_from([1, 5]),
    st.integers(20, 400),
    st.integers(1, 200),
    st.integers(1, 4),
)
def test_a_fallback_at_its_limit_is_not_throttled_and_uses_what_it_may(
    rate: int, input_tokens: int, output_tokens: int, longer: int
) -> None:
    """With as many calls at once as fit; after the first answers have taught their length."""
    clock, per_minute = FakeClock(), 30_000
    limiter = RateLimiter(clock, None, per_minute)
    estimate = TokenEstimate(output_tokens * longer, output_rate=rate)
    service = ServiceQuota(clock, per_minute)
    body = b"x" * (4 * input_tokens)
    burnt = input_tokens + rate * output_tokens
    running: deque[tuple[float, object, list[float]]] = deque()
    begun, done, throttled = clock.now(), 0, 0

    def end_calls(until: float) -> None:
        nonlocal done
        while running and running[0][0] <= until:
            _, reservation, entry = running.popleft()
            service.end(entry, burnt)
            estimate.learn(body, input_tokens, output_tokens)
            limiter.settle(reservation, estimate.used(input_tokens, output_tokens))  # type: ignore[arg-type]
            done += 1

    sleep = clock.sleep

    def sleep_and_end(seconds: float) -> None:
        sleep(seconds)
        end_calls(clock.now())

    clock.sleep = sleep_and_end  # type: ignore[method-assign]
    while clock.now() < begun + 300:
        reservation = limiter.acquire(*estimate.of(body))
        entry = service.begin(input_tokens + output_tokens * longer)
        if entry is None:
            throttled += 1
            limiter.throttled(reservation)
        else:
            running.append((clock.now() + 2.0, reservation, entry))
        clock.sleep(0.001)
    assert throttled == 0
    assert done * burnt >= 0.85 * per_minute * 5
