"""When to look next: as soon as a slot will have come free, and not much sooner.

A look costs a call, a slot that nobody fills costs time. The next look is when the first of the
active jobs is due, and so much later that others may be done by then too: a slot may idle for a
small share of what a job takes. Jobs of which nothing is known are looked at often enough that the
same share holds on average.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

MIN_SECONDS, MAX_SECONDS = 10.0, 300.0
# How long before any job has ended, whose time tells how long jobs take here.
_FIRST_SECONDS = 60.0
_IDLE_SHARE = 0.0075
_JITTER = 0.05
_TROUBLE_SECONDS = 10.0


@dataclass(frozen=True)
class Due:
    """What is known of an active job: when it is due, if that is known; else whether it may end at
    any time, as one may that counts no records.
    """

    at: float | None
    at_any_time: bool = False


def pause(now: float, due: Iterable[Due], typical_seconds: float | None, trouble: int = 0) -> float:
    """Return the seconds until the next look, with jitter.

    typical_seconds: what a job took so far on average; trouble: steps in a row that ended early
    because the service throttled or did not answer
    """
    if trouble:
        most = min(MAX_SECONDS, _TROUBLE_SECONDS * 2.0**trouble)
        return random.uniform(MIN_SECONDS, max(MIN_SECONDS, most))
    patience = _IDLE_SHARE * (typical_seconds or 0.0)
    most = MAX_SECONDS if typical_seconds else _FIRST_SECONDS
    wait = min((_wait(now, one, patience, most) for one in due), default=most)
    # Not before a job is due, and as seldom as may be.
    wait += random.uniform(0.0, _JITTER) * min(wait, patience)
    return min(max(wait, MIN_SECONDS), most * random.uniform(1 - _JITTER, 1.0))


def _wait(now: float, due: Due, patience: float, most: float) -> float:
    if due.at is None:
        return max(2 * patience, MIN_SECONDS) if due.at_any_time else most
    # One that is overdue is waited for longer and longer.
    overdue = max(0.0, now - due.at)
    return max(due.at - now, overdue / 2) + patience
