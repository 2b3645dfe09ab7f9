"""Limit calls and tokens per minute: use the whole limit, and exceed it in no minute.

Four algorithms work together:

- Pacing: the generic cell rate algorithm, GCRA
  (https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm), spreads calls by the tokens that each
  is *expected* to use.
- Sliding window log (https://en.wikipedia.org/wiki/Rate_limiting): the last minute may hold at most
  the limit. A call that is not answered yet counts with the *most* that it may use, because the
  service does so, too: it reserves the input and the longest answer when a call begins, and
  corrects that when it ends.
- Adaptive limit, in the manner of additive increase/multiplicative decrease
  (https://en.wikipedia.org/wiki/Additive_increase/multiplicative_decrease): if the service answers
  429 to more than a few calls in a hundred, because others use the quota too, the limiter uses a
  smaller fraction of the limit, and then a little more every second.
- Slow start (https://en.wikipedia.org/wiki/TCP_congestion_control#Slow_start) if no limit is
  given: the rate of calls doubles every second until many 429s come. The limit is then what went
  through in the last minute.

Units: seconds, calls, tokens, and per minute for limits. Times are the limiter's own, which never
go back (`RateLimiter._time`).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field

from bedrock_spark.clock import Clock

# GCRA's tolerance: calls may run ahead of the even pace by one second's worth.
BURST_SECONDS = 1.0
# The sliding window: a minute and a quarter of a second, because some calls take longer than
# others to reach the service, and two that left here a minute apart may arrive closer together.
WINDOW_SECONDS = 60.25

# 429s mean too many calls if they are more than 1 in 20 of the calls, and more than 3. Fewer may
# have any cause, such as trouble inside the service. The share is over about the last 100 calls.
TOLERATED_SHARE, TOLERATED_CALLS = 0.05, 3
_COUNTED_CALLS = 100

# Multiplicative decrease after too many 429s: x0.9 for a configured limit, which is about right,
# x0.8 for a learnt one, which may be far off, and at least x0.5 for the rate of the slow start.
DECREASE, LEARNT_DECREASE, _RAMP_DECREASE = 0.9, 0.8, 0.5
# Growth after a decrease: 0.5 % in the first second, then faster; see RateLimiter._level_at.
RISE_PER_SECOND = 0.005
# A limit is never cut to less than 2 %: a run at zero would never find out that it may go on.
_MIN_LEVEL = 0.02

# Slow start: calls per second of the whole run at its beginning, and the fewest after 429s.
FIRST_PER_SECOND = 32.0
_MIN_PER_SECOND = 1.0
# The rate doubles every second, and after the first decrease every ten seconds.
_DOUBLING_SECONDS, _SLOW_DOUBLING_SECONDS = 1.0, 10.0
# 2 ** 20 x 32 calls per second is no limit at all; a larger exponent would overflow in the end.
_MAX_DOUBLINGS = 20

# A limit is learnt once the whole run has this many answers: fewer say little about tokens.
LEARN_AFTER_ANSWERS = 30
# It is learnt after a whole minute, or earlier if half of the calls are throttled: then the quota
# of the minute is used up.
_EXHAUSTED_SHARE = 0.5

# Check once a second whether calls in flight left room. The least wait is above the resolution of
# the clock: a shorter one would not move it, and the loop would spin.
_RECHECK_SECONDS = 1.0
_MIN_WAIT_SECONDS = 0.001


@dataclass(slots=True)
class _Entry:
    """One call in the log of a quota.

    at: when the call began
    counted: the units that it counts in the sliding window: its most, or what it used
    paced: the units by which it delayed later calls: what was expected, or what it used
    """

    at: float
    counted: float
    paced: float


@dataclass
class Quota:
    """A limit of units (calls or tokens) per minute; no limit if `per_minute` is None.

    Every method takes `now`, the limiter's time, or `share`, the fraction of the limit that may be
    used, or both.
    """

    per_minute: float | None
    is_learnt: bool = False
    _window: deque[_Entry] = field(default_factory=deque)
    _sum: float = 0.0
    # GCRA's theoretical arrival time: when the next call would begin at an even pace.
    _free_at: float = 0.0

    def wait_for(self, now: float, most: float, share: float) -> float:
        """Return the seconds until a call may begin that uses at most `most` units.

        It is the longer of two waits: GCRA's, until `_free_at` - BURST_SECONDS, and the window's,
        until enough entries have left it that `_sum + most` is within the limit. A call that is
        larger than the whole limit waits until the window is empty.
        """
        self._forget(now)
        if self.per_minute is None:
            return 0.0
        wait = self._free_at - BURST_SECONDS - now
        surplus = self._sum + most - self.per_minute * share
        for entry in self._window:
            if surplus <= 0:
                break
            wait = max(wait, entry.at + WINDOW_SECONDS - now)
            surplus -= entry.counted
        return max(0.0, wait)

    def reserve(self, now: float, expected: float, most: float, share: float) -> _Entry:
        """Begin a call: pace later calls by `expected` units, and count `most` in the window."""
        entry = _Entry(now, most, expected)
        self._window.append(entry)
        self._sum += most
        self._free_at = max(self._free_at, now) + self._seconds(expected, share)
        return entry

    def settle(self, entry: _Entry, used: float, share: float) -> None:
        """Replace the reserved units of a call by the `used` ones."""
        # An entry that has left the window is not in the sum any more.
        if self._window and entry.at >= self._window[0].at:
            self._sum += used - entry.counted
            entry.counted = used
        self._free_at += self._seconds(used - entry.paced, share)
        entry.paced = used

    def in_last_minute(self, now: float) -> float:
        """Return the units in the sliding window that ends now."""
        self._forget(now)
        return self._sum

    def _seconds(self, units: float, share: float) -> float:
        """Return the seconds that `units` take at an even pace."""
        return 0.0 if self.per_minute is None else units * 60 / (self.per_minute * share)

    def _forget(self, now: float) -> None:
        while self._window and self._window[0].at <= now - WINDOW_SECONDS:
            self._sum -= self._window.popleft().counted


@dataclass(frozen=True)
class Reservation:
    """What one call has reserved of both quotas, and when."""

    at: float
    request: _Entry
    tokens: _Entry


@dataclass(frozen=True)
class _Ramp:
    """The slow start: calls per second of the whole run, growing exponentially from a time on."""

    first: float
    since: float
    is_slow: bool = False

    def at(self, now: float) -> float:
        """Return the calls per second at a time: first x 2 ** (seconds since / doubling)."""
        doubling = _SLOW_DOUBLING_SECONDS if self.is_slow else _DOUBLING_SECONDS
        return self.first * float(2.0 ** min((now - self.since) / doubling, _MAX_DOUBLINGS))


@dataclass
class _ThrottleCount:
    """Counts the calls since a decrease, and how many of them were throttled.

    At 100 calls both counts are halved, so old calls count less and less: what went well an hour
    ago says little about now.
    """

    since: float = 0.0
    calls: float = 0.0
    throttled: float = 0.0

    def add_call(self) -> None:
        if self.calls >= _COUNTED_CALLS:
            self.calls, self.throttled = self.calls / 2, self.throttled / 2
        self.calls += 1

    @property
    def share(self) -> float:
        return self.throttled / max(1.0, self.calls)

    @property
    def is_too_high(self) -> bool:
        return self.throttled > TOLERATED_CALLS and self.share > TOLERATED_SHARE


class RateLimiter:
    """Makes callers wait until a call may begin. Safe to use from many threads.

    requests_per_minute, tokens_per_minute: the limits of the whole run; None if unknown
    learns: if neither limit is given, whether to begin slowly and learn a limit from 429s
    shared_by: the number of limiters that share the limits equally at the moment; may be set at
        any time
    """

    def __init__(
        self,
        clock: Clock,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        *,
        learns: bool = True,
    ) -> None:
        self.shared_by = 1
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
        self._count = _ThrottleCount()
        self._ramp = _Ramp(FIRST_PER_SECOND, 0.0)
        self._ramp_free_at = 0.0
        self._answers = 0

    @property
    def is_limited(self) -> bool:
        """Tell whether there is a limit, configured or learnt."""
        return not (self._requests.per_minute is None and self._tokens.per_minute is None)

    def acquire(self, expected: int, most: int | None = None) -> Reservation:
        """Wait until one call may begin.

        expected: the tokens that the call will probably use
        most: the tokens that it may use at most; `expected` if not given or smaller
        """
        most = max(expected, most or 0)
        with self._turn:  # one caller waits for room, the others wait for their turn
            while True:
                with self._lock:
                    now, share = self._time(), self._share()
                    wait = self._wait(now, most, share)
                    if wait <= 0:
                        return self._reserve(now, expected, most, share)
                self._clock.sleep(min(max(wait, _MIN_WAIT_SECONDS), _RECHECK_SECONDS))

    def settle(self, reservation: Reservation, used: int) -> None:
        """Count the tokens that an answered call used."""
        with self._lock:
            self._time()
            self._answers += 1
            self._tokens.settle(reservation.tokens, used, self._share())

    def release(self, reservation: Reservation) -> None:
        """Count a call that was refused for a reason that says nothing about the limits."""
        with self._lock:
            self._time()
            self._tokens.settle(reservation.tokens, 0, self._share())

    def throttled(self, reservation: Reservation) -> None:
        """Count a call that met a 429, and slow down if there are too many. It used no tokens.

        Calls that began before the last decrease do not count: they are due to the old limit.
        """
        with self._lock:
            now, share = self._time(), self._share()
            self.throttled_calls += 1
            self._tokens.settle(reservation.tokens, 0, share)
            if reservation.at < self._count.since:
                return
            self._count.throttled += 1
            if self._count.is_too_high:
                self._slow_down(now)
                self._count = _ThrottleCount(since=now)

    def _slow_down(self, now: float) -> None:
        if self.is_limited:
            decrease = LEARNT_DECREASE if self._tokens.is_learnt else DECREASE
            self._level = max(_MIN_LEVEL, self._level_at(now) * decrease)
        elif self.learns:
            self._learn(now)

    def _learn(self, now: float) -> None:
        """Learn the limit of tokens; if it is too early for that, call less often.

        The limit is the tokens that went through in the last minute, times the number of limiters
        that share it: it assumes that each of the others used as many.
        """
        is_minute_used_up = now >= WINDOW_SECONDS or self._count.share >= _EXHAUSTED_SHARE
        tokens = self._tokens.in_last_minute(now)
        has_answers = self._answers * self.shared_by >= LEARN_AFTER_ANSWERS
        if is_minute_used_up and tokens and has_answers:
            self._tokens.per_minute = tokens * self.shared_by
            self._tokens.is_learnt = True
            self._level = LEARNT_DECREASE
        else:
            decrease = max(_RAMP_DECREASE, 1 - self._count.share)
            rate = max(_MIN_PER_SECOND, self._ramp.at(now) * decrease)
            self._ramp = _Ramp(rate, now, is_slow=True)

    def _share(self) -> float:
        """Return the fraction of the run's limits that this limiter may use now."""
        return self._level_at(self._now) / max(1, self.shared_by)

    def _level_at(self, now: float) -> float:
        """Return the fraction of the limits that the whole run uses now.

        It is L x (1 + 0.005 t (1 + t / 60)), t seconds after the last decrease, which was to L. The
        growth is linear at first, so that a limit just found too high is approached carefully, and
        quadratic later, so that a quota that became free is found within minutes. After x0.9 the
        level is back at 1 in 17 s, after x0.8 in 32 s. A configured limit is never exceeded. A
        learnt one may be too low, so its level grows beyond 1.
        """
        passed = now - self._count.since
        level = self._level * (1 + RISE_PER_SECOND * passed * (1 + passed / 60))
        return level if self._tokens.is_learnt else min(1.0, level)

    def _time(self) -> float:
        """Return seconds since the start that never go back, also if the system's clock does."""
        now = self._clock.now()
        self._now += max(0.0, now - self._clock_at)
        self._clock_at = now
        return self._now

    def _wait(self, now: float, most: int, share: float) -> float:
        if not self.is_limited:
            return max(0.0, self._ramp_free_at - now) if self.learns else 0.0
        # How much of the next call must fit into the share, with n limiters: 1/2 + 1/(2 sqrt(n)).
        # If all of it must fit (n = 1), each share is rounded down to whole calls, and on average
        # half a call of it stays unused. If half of it must fit, shares are rounded to the nearest
        # call, and the n rounding errors cancel out, with a standard deviation of sqrt(n/12) calls.
        # The second term is a reserve for that: sqrt(n)/2 calls in all, 1.7 standard deviations.
        fitting = 0.5 + 0.5 / math.sqrt(self.shared_by)
        return max(
            self._requests.wait_for(now, fitting, share),
            self._tokens.wait_for(now, most * fitting, share),
        )

    def _reserve(self, now: float, expected: int, most: int, share: float) -> Reservation:
        if not self.is_limited:
            # Even pace of this limiter's part of the run's rate: shared_by / rate seconds a call.
            seconds = self.shared_by / self._ramp.at(now)
            self._ramp_free_at = max(self._ramp_free_at, now) + seconds
        self._count.add_call()
        return Reservation(
            now,
            self._requests.reserve(now, 1, 1, share),
            self._tokens.reserve(now, expected, most, share),
        )
