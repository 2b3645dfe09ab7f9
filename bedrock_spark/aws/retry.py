"""Which layer repeats what. There is one layer per call, and tenacity is it wherever money moves.

| call | repeated by | on | not repeated |
| --- | --- | --- | --- |
| S3, the run folder | botocore, standard mode | throttling, 5xx, connections | 4xx |
| S3, objects that rows name | tenacity | throttling, 5xx, no reply, half a reply | 4xx |
| ListModelInvocationJobs, Get…, Stop… | tenacity | throttling, 5xx, no reply | 4xx |
| CreateModelInvocationJob | tenacity | throttling only | no reply and 5xx: looked up by name |
| | the next tick | no free slot, state unknown | rejections end the submitting |
| InvokeModel, Converse | tenacity | timeouts, 5xx, no reply: up to `attempts` | 400, 403, 404 |
| | tenacity | throttling, not ready: for a time, no attempt is used | |
| their streams | tenacity | the same, up to the first piece of the answer | what breaks after it |
| ProvisionedModelThroughput: Get…, List…, Delete… | tenacity | throttling, 5xx, no reply | 4xx |
| the same: Create… | tenacity | throttling | no reply and 5xx: looked up by name |
| Spark tasks | Spark | whatever kills a task | they never create a job |

Waits are full jitter: a random time between zero and an exponential bound, or the service's own
retry-after where it gives a longer one.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from bedrock_spark.clock import Clock
from bedrock_spark.errors import (
    BedrockSparkError,
    InvokeRetryableError,
    InvokeThrottledError,
    JobStateUnknownError,
    JobThrottledError,
    ModelNotReadyError,
    StorageUnavailableError,
)

CONTROL_ATTEMPTS = 8
FETCH_ATTEMPTS = 8
# A record is asked for that long while the service only says to wait.
THROTTLED_SECONDS = 900.0
NOT_READY_SECONDS = 1800.0
_CONTROL_WAIT = (1.0, 30.0)
_INVOKE_WAIT = (0.5, 30.0)
_FETCH_WAIT = (0.2, 20.0)


def retry_throttled(clock: Clock) -> Retrying:
    """ExtraAttempt a call that the service surely did not carry out."""
    return _retrying(clock, CONTROL_ATTEMPTS, _CONTROL_WAIT, JobThrottledError)


def retry_reading(clock: Clock) -> Retrying:
    """ExtraAttempt a call that has no effect, or the same effect twice."""
    kinds = (JobThrottledError, JobStateUnknownError)
    return _retrying(clock, CONTROL_ATTEMPTS, _CONTROL_WAIT, *kinds)


def retry_invoke(clock: Clock, attempts: int, until: float | None = None) -> Retrying:
    """ExtraAttempt a model call; after a time only where nothing else is said than to wait.

    until: a time after which nothing is repeated
    """
    return Retrying(
        stop=_StopAsking(clock, attempts, until),
        wait=_full_jitter(*_INVOKE_WAIT),
        retry=retry_if_exception_type(InvokeRetryableError),
        sleep=clock.sleep,
        reraise=True,
    )


class _StopAsking:
    """Says when a record was asked for often enough, or waited for long enough."""

    def __init__(self, clock: Clock, attempts: int, until: float | None) -> None:
        self._clock = clock
        self._left = attempts
        began = clock.now()
        self._patience = [
            (InvokeThrottledError, began + THROTTLED_SECONDS),
            (ModelNotReadyError, began + NOT_READY_SECONDS),
        ]
        self._until = until

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        now = self._clock.now()
        if self._until is not None and now >= self._until:
            return True
        for kind, end in self._patience:
            if isinstance(error, kind):
                return now >= end
        self._left -= 1
        return self._left <= 0


def retry_fetch(clock: Clock) -> Retrying:
    """ExtraAttempt the reading of an object."""
    return _retrying(clock, FETCH_ATTEMPTS, _FETCH_WAIT, StorageUnavailableError)


def _retrying(
    clock: Clock, attempts: int, wait: tuple[float, float], *kinds: type[BedrockSparkError]
) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=_full_jitter(*wait),
        retry=retry_if_exception_type(kinds),
        sleep=clock.sleep,
        reraise=True,
    )


def _full_jitter(first: float, most: float) -> Callable[[RetryCallState], float]:
    jitter = wait_random_exponential(multiplier=first, max=most)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.ids.get("retry_after") if isinstance(error, BedrockSparkError) else None
        return max(jitter(state), min(float(asked or 0.0), most))

    return wait
