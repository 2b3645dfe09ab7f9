"""Which layer repeats which call. Each call has one retry layer; where money moves, it is tenacity.

| call | repeated by | on | not repeated |
| --- | --- | --- | --- |
| S3, the run folder | botocore, standard mode | throttling, 5xx, connections | 4xx |
| the same: 409 to a conditional write | tenacity | another write at the same time | 412: final |
| S3, objects that rows name | tenacity | throttling, 5xx, no reply, half a reply | 4xx |
| ListModelInvocationJobs, Get…, Stop… | tenacity | throttling, 5xx, no reply | 4xx |
| CreateModelInvocationJob | tenacity | throttling only | no reply and 5xx: looked up by name |
| | the next tick | no free slot, state unknown | rejections end the submitting |
| InvokeModel, Converse | tenacity | timeouts, 5xx, no reply: up to `attempts` | 400, 403, 404 |
| | tenacity | throttling, not ready: for a time, no attempt is used | |
| their streams | tenacity | the same, up to the first piece of the answer | errors after it |
| ProvisionedModelThroughput: Get…, List…, Delete… | tenacity | throttling, 5xx, no reply | 4xx |
| the same: Create…, always with the same token | tenacity | throttling, 5xx, no reply | 4xx |
| Spark tasks | Spark | any failure of a task | they never create a job |

Waits are exponential backoff with full jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). The wait before retry
n = 0, 1, 2 ... is random and uniform in [0, min(cap, base x 2**n)] seconds. If the service sends a
longer retry-after, the wait is that, up to the same cap.
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

from bedrock_spark.clock import Clock, WaitEnded
from bedrock_spark.errors import (
    BedrockSparkError,
    InvokeError,
    InvokeRetryableError,
    InvokeThrottledError,
    JobError,
    JobStateUnknownError,
    JobThrottledError,
    ModelNotReadyError,
    StorageUnavailableError,
)

# Eight attempts of a control-plane call wait 46 s on average, 91 s at most.
CONTROL_ATTEMPTS = 8
FETCH_ATTEMPTS = 8
CONFLICT_ATTEMPTS = 8
# How long to retry one record while the service only throttles.
THROTTLED_SECONDS = 900.0
# How long to retry one record while the model is not ready.
NOT_READY_SECONDS = 1800.0
# Base and cap of the backoff, in seconds.
_CONTROL_BACKOFF = (1.0, 30.0)
_INVOKE_BACKOFF = (0.5, 30.0)
_FETCH_BACKOFF = (0.2, 20.0)
_CONFLICT_BACKOFF = (0.1, 5.0)


def retry_throttled(clock: Clock) -> Retrying:
    """Repeat a call only if the service surely did not carry it out."""
    return _retrying(clock, CONTROL_ATTEMPTS, _CONTROL_BACKOFF, JobThrottledError)


def retry_reading(clock: Clock) -> Retrying:
    """Repeat an idempotent call: one without an effect, or with the same effect twice."""
    kinds = (JobThrottledError, JobStateUnknownError)
    return _retrying(clock, CONTROL_ATTEMPTS, _CONTROL_BACKOFF, *kinds)


def retry_invoke(clock: Clock, attempts: int, until: float | None = None) -> Retrying:
    """Repeat a model call.

    attempts: calls in all. Calls that were throttled, or met a model that is not ready, do not
        count; for them THROTTLED_SECONDS and NOT_READY_SECONDS are the limit
    until: no call is repeated after this time, in seconds since the epoch
    If the clock ends a wait, the call is not repeated: its last error is raised.
    """
    wait = _EndableWait(clock)
    return Retrying(
        stop=_StopInvoking(clock, attempts, until),
        wait=_full_jitter(*_INVOKE_BACKOFF),
        retry=retry_if_exception_type(InvokeRetryableError),
        before_sleep=wait.note,
        sleep=wait,
        reraise=True,
    )


class _EndableWait:
    """Waits before a retry. If the wait is ended, it raises the error that it follows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._error: BaseException | None = None

    def note(self, state: RetryCallState) -> None:
        self._error = state.outcome.exception() if state.outcome else None

    def __call__(self, seconds: float) -> None:
        try:
            self._clock.sleep(seconds)
        except WaitEnded:
            if self._error is None:
                raise
            raise self._error from None


class _StopInvoking:
    """Decides that one record has had its attempts, or has waited long enough."""

    def __init__(self, clock: Clock, attempts: int, until: float | None) -> None:
        self._clock = clock
        self._attempts_left = attempts
        begun_at = clock.now()
        self._deadlines = [
            (InvokeThrottledError, begun_at + THROTTLED_SECONDS),
            (ModelNotReadyError, begun_at + NOT_READY_SECONDS),
        ]
        self._until = until

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        now = self._clock.now()
        if self._until is not None and now >= self._until:
            return True
        for kind, deadline in self._deadlines:
            if isinstance(error, kind):
                return now >= deadline
        self._attempts_left -= 1
        return self._attempts_left <= 0


def retry_fetch(clock: Clock) -> Retrying:
    """Repeat the reading of an object."""
    return _retrying(clock, FETCH_ATTEMPTS, _FETCH_BACKOFF, StorageUnavailableError)


def retry_conflict(clock: Clock) -> Retrying:
    """Repeat a conditional write that S3 did not decide, because another one ran beside it."""
    return _retrying(clock, CONFLICT_ATTEMPTS, _CONFLICT_BACKOFF, StorageUnavailableError)


def _retrying(
    clock: Clock, attempts: int, backoff: tuple[float, float], *kinds: type[BedrockSparkError]
) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=_full_jitter(*backoff),
        retry=retry_if_exception_type(kinds),
        sleep=clock.sleep,
        reraise=True,
    )


def _full_jitter(base: float, cap: float) -> Callable[[RetryCallState], float]:
    jitter = wait_random_exponential(multiplier=base, max=cap)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, JobError | InvokeError) else None
        return max(jitter(state), min(float(retry_after or 0.0), cap))

    return wait
