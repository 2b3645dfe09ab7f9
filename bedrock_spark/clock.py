"""The clock as an argument: a test of a day of waiting takes microseconds."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The time functions that the pipeline uses."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
        ...


class SystemClock:
    """The clock of the system."""

    def now(self) -> float:
        """Return the time of the system."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block the thread for this many seconds."""
        time.sleep(seconds)


class WaitEnded(Exception):  # noqa: N818 - no error: somebody has ended the wait
    """A wait was ended before its time."""


class EndableClock:
    """A clock whose waits end as soon as an event is set.

    kind: what a wait raises that is ended
    """

    def __init__(
        self, clock: Clock, end: threading.Event, kind: type[BaseException] = WaitEnded
    ) -> None:
        self._clock = clock
        self._end = end
        self._kind = kind

    def now(self) -> float:
        """Return the time of the clock."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Wait for this many seconds, or until the event is set. Raises `kind` then."""
        if self._end.wait(seconds):
            raise self._kind


def iso_time(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC; None for None."""
    if seconds is None:
        return None
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
