"""Emulated time: real time multiplied by a speed, plus all advances made by hand.

A batch job takes minutes to a day on AWS. Everything in the emulator that takes time uses this
clock, so that a day takes seconds (`speed`), or passes when a test advances the clock (`speed=0`
and `advance`).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch, running `speed` times as fast as the wall clock.

    `speed` 0 stops the clock: then only `advance` moves it. The emulated time starts at the real
    time (or at `start`, after a restart), so that timestamps look like those of the service.
    """

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        if speed < 0:
            raise ValueError(f"speed is {speed}; time does not run backwards, use 0 or more")
        self._speed = speed
        self._lock = threading.Lock()
        self._origin = time.monotonic()
        self._base = time.time() if start is None else start

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        """Return the emulated seconds since the epoch."""
        with self._lock:
            return self._base + (time.monotonic() - self._origin) * self._speed

    def advance(self, seconds: float) -> float:
        """Move the clock forward by `seconds` of emulated time and return the new time."""
        if seconds < 0:
            raise ValueError(f"cannot advance by {seconds} seconds; time does not run backwards")
        with self._lock:
            self._base += seconds
        return self.now()

    def wall_seconds_until(self, due: float) -> float | None:
        """Return the real seconds until `due`: 0.0 if it is past, None if the clock is stopped."""
        ahead = due - self.now()
        if ahead <= 0:
            return 0.0
        if self._speed == 0:
            return None
        return ahead / self._speed


def as_datetime(seconds: float) -> datetime:
    """Return epoch seconds as an aware UTC datetime, rounded to milliseconds as in the service."""
    return datetime.fromtimestamp(round(seconds, 3), tz=UTC)
