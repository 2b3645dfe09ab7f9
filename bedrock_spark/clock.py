"""Time as an argument, so that a day of waiting is a test of microseconds."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the pipeline asks of time."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The real one."""

    def now(self) -> float:
        """Return the system's time."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Really wait."""
        time.sleep(seconds)
