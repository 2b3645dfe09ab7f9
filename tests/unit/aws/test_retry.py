"""Retries: how many, how long apart, and which errors are never retried."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tenacity import Retrying

from bedrock_spark import errors
from bedrock_spark.aws.retry import (
    CONTROL_ATTEMPTS,
    FETCH_ATTEMPTS,
    NOT_READY_SECONDS,
    THROTTLED_SECONDS,
    retry_fetch,
    retry_invoke,
    retry_reading,
    retry_throttled,
)
from bedrock_spark.clock import EndableClock
from bedrock_spark.errors import (
    BedrockSparkError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    InvokeThrottledError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    ModelNotReadyError,
    NoFreeSlotError,
    StorageUnavailableError,
)
from tests.unit.fakes import FakeClock

POLICIES: dict[str, Callable[[FakeClock], Retrying]] = {
    "throttled": retry_throttled,
    "reading": retry_reading,
    "invoke": lambda clock: retry_invoke(clock, 5),
    "fetch": retry_fetch,
}
RETRIED = {
    "throttled": {JobThrottledError},
    "reading": {JobThrottledError, JobStateUnknownError},
    "invoke": {InvokeRetryableError, InvokeThrottledError, ModelNotReadyError},
    "fetch": {StorageUnavailableError},
}
KINDS = [
    JobThrottledError,
    JobStateUnknownError,
    JobRejectedError,
    JobNameInUseError,
    NoFreeSlotError,
    InvokeRetryableError,
    InvokeThrottledError,
    ModelNotReadyError,
    InvokeRecordError,
    InvokeRefusedError,
    errors.StorageError,
    StorageUnavailableError,
    ValueError,
    KeyboardInterrupt,
]


class Failing:
    """Raises an error `times` times, and then returns. then: is called by every call"""

    def __init__(
        self, error: BaseException, times: int = 10**9, then: Callable[[], None] = lambda: None
    ) -> None:
        self.error, self.times, self.calls, self.then = error, times, 0, then

    def __call__(self) -> str:
        self.calls += 1
        self.then()
        if self.calls <= self.times:
            raise self.error
        return "done"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_only_the_errors_of_a_policy_are_retried(
    policy: str, kind: type[BaseException], clock: FakeClock
) -> None:
    """After a lost reply to a create the job is looked up; a rejection would come again."""
    call = Failing(kind("x"), times=1)
    if kind in RETRIED[policy]:
        assert POLICIES[policy](clock)(call) == "done"
        assert (call.calls, len(clock.waits)) == (2, 1)
    else:
        with pytest.raises(kind):
            POLICIES[policy](clock)(call)
        assert (call.calls, clock.waits) == (1, [])


@pytest.mark.parametrize(
    ("policy", "error", "attempts"),
    [
        (retry_throttled, JobThrottledError("x"), CONTROL_ATTEMPTS),
        (retry_reading, JobStateUnknownError("x"), CONTROL_ATTEMPTS),
        (retry_fetch, StorageUnavailableError("x"), FETCH_ATTEMPTS),
        (lambda clock: retry_invoke(clock, 3), InvokeRetryableError("x"), 3),
        (lambda clock: retry_invoke(clock, 1), InvokeRetryableError("x"), 1),
    ],
)
def test_attempts_are_bounded_and_the_last_error_is_raised(
    policy: Any, error: BedrockSparkError, attempts: int, clock: FakeClock
) -> None:
    """The error itself, with its attributes, and not tenacity's wrapper."""
    call = Failing(error)
    with pytest.raises(type(error)) as caught:
        policy(clock)(call)
    assert caught.value is error
    assert call.calls == attempts
    assert len(clock.waits) == attempts - 1


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (InvokeThrottledError("x"), THROTTLED_SECONDS),
        (ModelNotReadyError("x"), NOT_READY_SECONDS),
    ],
)
def test_throttling_and_not_ready_are_bounded_by_time(
    error: BedrockSparkError, seconds: float, clock: FakeClock
) -> None:
    """And not by attempts."""
    call = Failing(error)
    with pytest.raises(type(error)) as caught:
        retry_invoke(clock, 1)(call)
    assert caught.value is error
    assert seconds <= sum(clock.waits) <= seconds + 30


@pytest.mark.parametrize("error", [InvokeThrottledError("x"), InvokeRetryableError("x")])
def test_no_error_is_retried_after_the_deadline(error: BedrockSparkError, clock: FakeClock) -> None:
    """The deadline of the run."""
    call = Failing(error)
    with pytest.raises(type(error)):
        retry_invoke(clock, 20, clock.now())(call)
    assert call.calls == 1


@pytest.mark.parametrize(
    ("retry", "error", "first", "cap"),
    [
        (retry_throttled, JobThrottledError("x"), 1.0, 30.0),
        (lambda clock: retry_invoke(clock, 8), InvokeRetryableError("x"), 0.5, 30.0),
        (retry_fetch, StorageUnavailableError("x"), 0.2, 20.0),
    ],
    ids=["throttled", "invoke", "fetch"],
)
def test_waits_are_full_jitter(
    retry: Callable[[FakeClock], Retrying], error: BedrockSparkError, first: float, cap: float
) -> None:
    """Uniform between zero and a bound that doubles, up to a cap: else callers retry in step."""
    rounds: list[list[float]] = []
    for seed in range(300):
        random.seed(seed)
        clock = FakeClock()
        with pytest.raises(type(error)):
            retry(clock)(Failing(error))
        rounds.append(clock.waits)
    for i, waits in enumerate(zip(*rounds, strict=True)):
        bound = min(cap, first * 2**i)
        assert all(0 <= w <= bound for w in waits)
        assert max(waits) > 0.9 * bound
        assert min(waits) < 0.1 * bound
        assert 0.4 * bound < sum(waits) / len(waits) < 0.6 * bound


@pytest.mark.parametrize(
    ("retry_after", "least"),
    [(12.5, 12.5), (1e9, 30.0), (float("inf"), 30.0), (0.0, 0.0), (-5.0, 0.0), (None, 0.0)],
)
def test_a_longer_retry_after_of_the_service_is_kept(
    retry_after: float | None, least: float, clock: FakeClock
) -> None:
    """Up to the same bound: a broken header must not stop a run for a year."""
    retry_throttled(clock)(Failing(JobThrottledError("x", retry_after=retry_after), times=1))
    (waited,) = clock.waits
    assert least <= waited <= max(least, 1.0)


def test_the_retry_after_is_that_of_the_latest_reply(clock: FakeClock) -> None:
    """Not that of the first reply."""
    replies = [JobThrottledError("x", retry_after=20.0), JobThrottledError("x", retry_after=None)]

    def call() -> None:
        if replies:
            raise replies.pop(0)

    retry_throttled(clock)(call)
    assert clock.waits[0] >= 20
    assert clock.waits[1] <= 2


@pytest.mark.parametrize("error", [InvokeRetryableError("x"), InvokeThrottledError("x")])
def test_a_wait_that_is_ended_raises_the_error_before_it(error: BedrockSparkError) -> None:
    """And the call is not repeated: somebody has stopped it while it waited."""
    end = threading.Event()
    call = Failing(error, then=end.set)
    with pytest.raises(type(error)) as raised:
        retry_invoke(EndableClock(FakeClock(), end), 20)(call)
    assert raised.value is error
    assert call.calls == 1
