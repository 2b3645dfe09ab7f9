"""When to poll next: as soon as a slot will have become free, and not much earlier.

A poll costs a call, and an empty slot costs time. The next poll is when the first active job is
expected to end, plus a delay in which other jobs may end too: a slot may idle for a small share of
the time that a job takes. Jobs without a known end are polled often enough that the same share
holds on average.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

MIN_SECONDS, MAX_SECONDS = 10.0, 300.0
# The shortest interval if the service's clock runs fast.
_LEAST_SECONDS = 0.2
# The longest interval before the first job has ended and shown how long jobs take.
_FIRST_SECONDS = 60.0
# The share of a job's time for which its slot may idle.
_IDLE_SHARE = 0.0075
# Random jitter keeps the polls of several runs apart.
_JITTER = 0.05
# The base of the exponential backoff while the service throttles or does not answer.
_TROUBLE_SECONDS = 10.0


@dataclass(frozen=True)
class ExpectedEnd:
    """When an active job is expected to end.

    at: a time, or None if it is unknown
    at_any_time: whether a job without a known end may end at any time: it counts no records
    """

    at: float | None
    at_any_time: bool = False


def next_poll_seconds(
    now: float, ends: Iterable[ExpectedEnd], typical_seconds: float | None, trouble: int = 0
) -> float:
    """Return the seconds until the next poll, with jitter.

    typical_seconds: how long a job took on average so far; None if none has ended
    trouble: steps in a row that ended early because the service throttled or did not answer; then
    the interval is an exponential backoff with full jitter, up to MAX_SECONDS
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)
    """
    if trouble:
        longest = min(MAX_SECONDS, _TROUBLE_SECONDS * 2.0**trouble)
        return random.uniform(MIN_SECONDS, max(MIN_SECONDS, longest))
    idle = _IDLE_SHARE * (typical_seconds or 0.0)
    longest = MAX_SECONDS if typical_seconds else _FIRST_SECONDS
    wait = min((_wait(now, end, idle, longest) for end in ends), default=longest)
    # Jitter only delays: a poll before a job's end would be wasted.
    wait += random.uniform(0.0, _JITTER) * min(wait, idle)
    return min(max(wait, MIN_SECONDS), longest * random.uniform(1 - _JITTER, 1.0))


def on_fast_clock(seconds: float, speed: float) -> float:
    """Return an interval, shortened if the service's clock runs `speed` times as fast as ours."""
    return max(seconds / speed, min(seconds, _LEAST_SECONDS))


def _wait(now: float, end: ExpectedEnd, idle: float, longest: float) -> float:
    if end.at is None:
        # Polling every 2 * idle seconds leaves a slot idle for `idle` seconds on average.
        return max(2 * idle, MIN_SECONDS) if end.at_any_time else longest
    # An overdue job is polled less and less often: each interval is half the time it is overdue.
    overdue = max(0.0, now - end.at)
    return max(end.at - now, overdue / 2) + idle
