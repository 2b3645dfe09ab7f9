"""Emulated time: real time multiplied by a speed, plus whatever was advanced by hand.

A batch job takes minutes to a day on AWS. Everything in the emulator that takes time asks this
clock, so that the same day takes seconds (`speed`) or exactly as long as a test wants (`speed=0`
and `advance`).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch, running `speed` times as fast as the wall clock.

    `speed` 0 freezes the clock: it then moves by `advance` only. The emulated time starts at the
    real time (or at `start`, after a restart) so that timestamps look like those of a service.
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
        """Return how long to wait for real until `due`; None when the clock stands still."""
        ahead = due - self.now()
        if ahead <= 0:
            return 0.0
        if self._speed == 0:
            return None
        return ahead / self._speed


def as_datetime(seconds: float) -> datetime:
    """Return epoch seconds as an aware UTC datetime, to the millisecond as the service shows it."""
    return datetime.fromtimestamp(round(seconds, 3), tz=UTC)
