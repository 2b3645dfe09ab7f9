"""Wait for the lease of a process that may be dead, and tell it from one that is at work.

A process that was killed on another machine cannot release its lease, and cannot be looked up. Its
lease expires some minutes later. So a restart waits for that: a retry of a scheduler would come
too early, and be used up. A holder that is at work renews its lease. As soon as that is seen, there
is nothing to wait for: it may go on for hours.

Time is measured by what this process has waited: no clocks of two machines need to agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bedrock_spark.clock import Clock
from bedrock_spark.progress import Observer, Progress, ignore_progress

# Longer than a lease lasts, so that every lease that is not renewed is waited for.
DEFAULT_SECONDS = 420.0
# How often the lease is read while it is waited for.
LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class LeaseWait:
    """How long to wait for the lease of another process that may be dead.

    seconds: at most; 0 to raise an error at once
    observe: is told that the lease is waited for, and until when
    """

    seconds: float = DEFAULT_SECONDS
    observe: Observer = ignore_progress


NO_WAIT = LeaseWait(0.0)


class Holding(Protocol):
    """What is read of the holder of a lease.

    is_alive: whether it is a process of this machine that is at work
    until: when the lease expires, in seconds since the epoch
    """

    @property
    def is_alive(self) -> bool: ...
    @property
    def until(self) -> float: ...


class Watch:
    """Watches the lease of another process from the first look on.

    lease_seconds: how long a lease lasts that is not renewed
    why_not: why it is not waited for, to be added to an error
    """

    def __init__(self, wait: LeaseWait, clock: Clock, lease_seconds: float) -> None:
        self._wait = wait
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._first: Holding | None = None
        self._waited = 0.0
        self.why_not = ""

    def has_expired(self, holder: Holding) -> bool:
        """Tell whether the lease was not renewed for as long as it lasts, whatever clocks say."""
        return holder == self._first and self._waited >= self._lease_seconds

    def may_wait(self, holder: Holding) -> bool:
        """Tell whether to wait for this holder: it may be dead, and there is time left."""
        if self._wait.seconds <= 0:
            return False
        if holder.is_alive:
            self.why_not = ", and is at work on this machine"
        elif self._first not in (None, holder):
            self.why_not = ", and is at work: the lease was renewed while this process waited"
        elif self._waited >= self._wait.seconds:
            self.why_not = f", and did not end within the {self._waited:.0f} s of --lease-wait"
        return not self.why_not

    def wait(self, holder: Holding) -> None:
        """Wait until the lease has to be read again. The first call says so."""
        most = self._lease_seconds - self._waited
        left = min(max(0.0, holder.until - self._clock.now()), most)
        if self._first is None:
            self._first = holder
            self._wait.observe(
                Progress(
                    "lease",
                    0,
                    None,
                    f"the run is {holder}; if that process is dead, its lease ends in {left:.0f} s",
                    waits_for="the lease",
                )
            )
        seconds = min(LOOK_SECONDS, max(left, 1.0), self._wait.seconds - self._waited)
        self._clock.sleep(seconds)
        self._waited += seconds

    def end(self) -> None:
        """Say that the wait is over, if there was one."""
        if self._first is not None:
            self._wait.observe(Progress("lease", 0, 0))
