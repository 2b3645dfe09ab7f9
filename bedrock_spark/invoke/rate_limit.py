"""A limit of calls and tokens per minute: used to the full, and kept to in every minute.

Calls are paced by what they are expected to use. Beyond that, no minute may hold more than is
allowed, where a call that is not answered yet counts with all that it may use: the service reserves
input and longest answer when a call begins, and settles when it ends.

Where the service says 429 all the same to more than a few calls in a hundred, because others use
the quota too, the limit is cut to a share of itself and then grows again, a little every second.
Where nobody said how large it is, the run begins with a few calls a second and twice as many every
second, until many 429s show it: it is what went through in the last minute.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field

from bedrock_spark.clock import Clock

BURST_SECONDS = 1.0
# A quarter of a second more than a minute: calls do not take equally long to reach the service.
MINUTE = 60.25
# More throttled calls than that mean that there are too many; fewer may have any cause, such as
# trouble of the service's own. And how many calls are looked back on.
TOLERATED_SHARE, TOLERATED_CALLS = 0.05, 3
_LOOK_BACK = 100
# What a cut leaves of a limit: one that was given is not far off, one that was found out may be.
# And the least it leaves of a rate where none is known yet.
CUT, CUT_OF_LEARNT, _CUT_OF_RAMP = 0.9, 0.8, 0.5
# So many 429s among the calls say that a quota is used up, though a minute is not over.
_USED_UP = 0.5
RISE_PER_SECOND = 0.005
_LEAST_LEVEL = 0.02
# Calls a second of the whole run at its beginning, where no limit is known, and the fewest that
# 429s leave of them. They double every second, and once there were too many 429s every ten.
FIRST_PER_SECOND = 32.0
_LEAST_PER_SECOND = 1.0
_DOUBLING_SECONDS, _LATER_DOUBLING_SECONDS = 1.0, 10.0
_DOUBLINGS = 20
# So many answers to the whole run show what its limit is.
LEARNT_FROM = 30
# How often it is looked whether calls under way left room; and below a clock's own resolution a
# wait would not move it.
_LOOK_SECONDS = 1.0
_SHORTEST_WAIT = 0.001


@dataclass(slots=True)
class _Taken:
    """What one call took of a quota: when, how much it counts, and what it was paced by."""

    at: float
    counted: float
    paced: float


@dataclass
class Quota:
    """So many units per minute, or as many as one likes where `per_minute` is None.

    `share` of them may be used. Times are those of the limiter, which never go back.
    """

    per_minute: float | None
    is_learned: bool = False
    _window: deque[_Taken] = field(default_factory=deque)
    _sum: float = 0.0
    _free_at: float = 0.0

    def wait_for(self, now: float, most: float, share: float) -> float:
        """Return the seconds until a call may go that uses so much at most.

        One that is larger than the whole quota goes when nothing else was taken for a minute.
        """
        self._forget(now)
        if self.per_minute is None:
            return 0.0
        wait = self._free_at - BURST_SECONDS - now
        surplus = self._sum + most - self.per_minute * share
        for taken in self._window:
            if surplus <= 0:
                break
            wait = max(wait, taken.at + MINUTE - now)
            surplus -= taken.counted
        return max(0.0, wait)

    def take(self, now: float, expected: float, most: float, share: float) -> _Taken:
        """Take what a call is expected to use, and count what it may use at most."""
        taken = _Taken(now, most, expected)
        self._window.append(taken)
        self._sum += most
        self._free_at = max(self._free_at, now) + self._seconds(expected, share)
        return taken

    def settle(self, taken: _Taken, used: float, share: float) -> None:
        """Count what a call really used."""
        if self._window and taken.at >= self._window[0].at:
            self._sum += used - taken.counted
            taken.counted = used
        self._free_at += self._seconds(used - taken.paced, share)
        taken.paced = used

    def in_last_minute(self, now: float) -> float:
        """Return what was taken in the minute that ends now."""
        self._forget(now)
        return self._sum

    def _seconds(self, amount: float, share: float) -> float:
        return 0.0 if self.per_minute is None else amount * 60 / (self.per_minute * share)

    def _forget(self, now: float) -> None:
        while self._window and self._window[0].at <= now - MINUTE:
            self._sum -= self._window.popleft().counted


@dataclass(frozen=True)
class Reservation:
    """What a call was let go with."""

    at: float
    request: _Taken
    tokens: _Taken


@dataclass(frozen=True)
class _Ramp:
    """Calls a second of the whole run from a time on, more and more."""

    first: float
    since: float
    slow: bool = False

    def at(self, now: float) -> float:
        """Return how many there may be now."""
        doubling = _LATER_DOUBLING_SECONDS if self.slow else _DOUBLING_SECONDS
        return self.first * float(2.0 ** min((now - self.since) / doubling, _DOUBLINGS))


@dataclass
class _Watch:
    """How many of the calls since a cut were throttled, the last ones above all."""

    since: float = 0.0
    let_go: float = 0.0
    throttled: float = 0.0

    def let_one_go(self) -> None:
        if self.let_go >= _LOOK_BACK:
            self.let_go, self.throttled = self.let_go / 2, self.throttled / 2
        self.let_go += 1

    @property
    def share(self) -> float:
        return self.throttled / max(1.0, self.let_go)

    @property
    def is_too_much(self) -> bool:
        return self.throttled > TOLERATED_CALLS and self.share > TOLERATED_SHARE


class RateLimiter:
    """Wait until a call may go. Where no limit is given, calls get more until many see 429.

    parts: how many limiters share the limits equally at the moment; who counts them may set it
    learns: where no limit is given, whether to find one out from what went through before 429s
    """

    def __init__(
        self,
        clock: Clock,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        *,
        learns: bool = True,
    ) -> None:
        self.parts = 1
        self.learns = learns
        self.throttled_calls = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._requests = Quota(requests_per_minute)
        self._tokens = Quota(tokens_per_minute)
        self._clock_at = clock.now()
        self._now = 0.0
        self._level = 1.0
        self._watch = _Watch()
        self._ramp = _Ramp(FIRST_PER_SECOND, 0.0)
        self._ramp_at = 0.0
        self._answers = 0

    @property
    def is_limited(self) -> bool:
        """Tell whether there are limits, given or learnt."""
        return not (self._requests.per_minute is None and self._tokens.per_minute is None)

    def acquire(self, expected: int, most: int | None = None) -> Reservation:
        """Wait for one call that is expected to use so many tokens, and may use `most`."""
        most = max(expected, most or 0)
        with self._turn:  # one waits at a time, the others behind it
            while True:
                with self._lock:
                    now, share = self._time(), self._share()
                    wait = self._wait(now, most, share)
                    if wait <= 0:
                        return self._take(now, expected, most, share)
                self._clock.sleep(min(max(wait, _SHORTEST_WAIT), _LOOK_SECONDS))

    def settle(self, reservation: Reservation, used: int) -> None:
        """Count what an answered call used."""
        with self._lock:
            self._time()
            self._answers += 1
            self._tokens.settle(reservation.tokens, used, self._share())

    def throttled(self, reservation: Reservation) -> None:
        """Slow down where too many calls meet a 429; such a call used nothing.

        Calls that were under way at the last cut say nothing new.
        """
        with self._lock:
            now, share = self._time(), self._share()
            self.throttled_calls += 1
            self._tokens.settle(reservation.tokens, 0, share)
            if reservation.at < self._watch.since:
                return
            self._watch.throttled += 1
            if self._watch.is_too_much:
                self._slow_down(now)
                self._watch = _Watch(since=now)

    def _slow_down(self, now: float) -> None:
        if self.is_limited:
            cut = CUT_OF_LEARNT if self._tokens.is_learned else CUT
            self._level = max(_LEAST_LEVEL, self._level_at(now) * cut)
        elif self.learns:
            self._learn(now)

    def _learn(self, now: float) -> None:
        """Find out about the quota, which nobody told; where that is too early, call less often."""
        is_shown = now >= MINUTE or self._watch.share >= _USED_UP
        tokens = self._tokens.in_last_minute(now)
        if is_shown and tokens and self._answers * self.parts >= LEARNT_FROM:
            self._tokens.per_minute = tokens * self.parts
            self._tokens.is_learned = True
            self._level = CUT_OF_LEARNT
        else:
            left = max(_CUT_OF_RAMP, 1 - self._watch.share)
            rate = max(_LEAST_PER_SECOND, self._ramp.at(now) * left)
            self._ramp = _Ramp(rate, now, slow=True)

    def _share(self) -> float:
        return self._level_at(self._now) / max(1, self.parts)

    def _level_at(self, now: float) -> float:
        """Return the share of the limits that is used now: it grows since the last cut."""
        passed = now - self._watch.since
        level = self._level * (1 + RISE_PER_SECOND * passed * (1 + passed / 60))
        return level if self._tokens.is_learned else min(1.0, level)

    def _time(self) -> float:
        """Return seconds that never go back: a clock that jumps back is counted on from there."""
        now = self._clock.now()
        self._now += max(0.0, now - self._clock_at)
        self._clock_at = now
        return self._now

    def _wait(self, now: float, most: int, share: float) -> float:
        if not self.is_limited:
            return max(0.0, self._ramp_at - now) if self.learns else 0.0
        # Each task leaves half a call of its share unused in the mean. Many may make that up: what
        # one uses beyond its share, others leave.
        part = 0.5 + 0.5 / math.sqrt(self.parts)
        return max(
            self._requests.wait_for(now, part, share),
            self._tokens.wait_for(now, most * part, share),
        )

    def _take(self, now: float, expected: int, most: int, share: float) -> Reservation:
        if not self.is_limited:
            self._ramp_at = max(self._ramp_at, now) + self.parts / self._ramp.at(now)
        self._watch.let_one_go()
        return Reservation(
            now,
            self._requests.take(now, 1, 1, share),
            self._tokens.take(now, expected, most, share),
        )
