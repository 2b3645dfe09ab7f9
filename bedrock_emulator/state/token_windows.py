"""Sliding windows of a minute that count the tokens of calls.

Sliding window log: https://en.wikipedia.org/wiki/Rate_limiting
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.state.clock import Clock

_WINDOW_SECONDS = 60.0


@dataclass
class Reservation:
    """The tokens of one request in the window: reserved at its start, the used ones at its end."""

    at: float
    tokens: int


class TokenWindows:
    """A window for each key. Safe to use from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, deque[Reservation]] = {}

    def reserve(self, key: str, tokens: int, limit: int) -> Reservation:
        """Count the tokens of a request that begins now. Raise ThrottlingException if too many.

        A request larger than the whole limit passes if the window is empty. The caller sets the
        tokens of the returned reservation to the used number when the request ends.
        """
        now = self._clock.now()
        with self._lock:
            window = self._windows.setdefault(key, deque())
            while window and window[0].at <= now - _WINDOW_SECONDS:
                window.popleft()
            used = sum(reservation.tokens for reservation in window)
            if used and used + tokens > limit:
                raise ServiceError(
                    "ThrottlingException", "Too many tokens, please wait before trying again."
                )
            reservation = Reservation(now, tokens)
            window.append(reservation)
            return reservation

    def drop(self, key: str) -> None:
        """Forget a window."""
        with self._lock:
            self._windows.pop(key, None)
