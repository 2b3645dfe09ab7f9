"""The clock as an argument: a test of a day of waiting takes microseconds."""

from __future__ import annotations

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
