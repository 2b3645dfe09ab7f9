"""A limiter for calls and tokens per minute, shared by the threads of one task.

Tokens are reserved by an estimate before a call and settled with what the call really used. Both
are leaky allowances that refill steadily, so a minute's worth is never spent in one burst beyond
the first `BURST_SECONDS`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from bedrock_spark.clock import Clock

BURST_SECONDS = 5.0
_SHORTEST_WAIT = 0.001


@dataclass
class Allowance:
    """So many units per minute; the balance may go below zero when a call used more."""

    per_minute: float
    clock: Clock
    balance: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self.balance = self._most
        self._at = self.clock.now()

    @property
    def _most(self) -> float:
        return self.per_minute * BURST_SECONDS / 60

    def wait_for(self, amount: float) -> float:
        """Return the seconds until this much is there; a call larger than the burst may go at
        full balance, or it could never go."""
        self._refill()
        lacking = min(amount, self._most) - self.balance
        return max(0.0, lacking * 60 / self.per_minute)

    def take(self, amount: float) -> None:
        """Use some, or give some back with a negative amount."""
        self.balance -= amount

    def _refill(self) -> None:
        now = self.clock.now()
        # A clock that jumps back refills nothing rather than taking away.
        passed = max(0.0, now - self._at)
        self._at = now
        self.balance = min(self._most, self.balance + passed * self.per_minute / 60)


class RateLimiter:
    """Wait until a call may go. Without limits it never waits."""

    def __init__(
        self, clock: Clock, requests_per_minute: float | None, tokens_per_minute: float | None
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._requests = Allowance(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = Allowance(tokens_per_minute, clock) if tokens_per_minute else None

    def acquire(self, tokens: int) -> None:
        """Wait for one call of about this many tokens, and take them."""
        while True:
            with self._lock:
                wait = self._wait(tokens)
                if wait <= 0:
                    self._take(1, tokens)
                    return
            # Below a clock's own resolution a wait would not move it.
            self._clock.sleep(max(wait, _SHORTEST_WAIT))

    def settle(self, reserved: int, used: int) -> None:
        """Correct a reservation by what was used."""
        with self._lock:
            self._take(0, used - reserved)

    def _wait(self, tokens: int) -> float:
        requests = self._requests.wait_for(1) if self._requests else 0.0
        return max(requests, self._tokens.wait_for(tokens) if self._tokens else 0.0)

    def _take(self, requests: int, tokens: int) -> None:
        if self._requests:
            self._requests.take(requests)
        if self._tokens:
            self._tokens.take(tokens)
