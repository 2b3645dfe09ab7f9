"""The clock as an argument: a test of a day of waiting takes microseconds."""

from __future__ import annotations

import datetime as dt
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


def iso_time(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC; None for None."""
    if seconds is None:
        return None
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
