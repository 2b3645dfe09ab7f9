"""The rate limit: never more than allowed over any minute, and never less than it could be."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.rate_limit import BURST_SECONDS, RateLimiter

from .fakes import FakeClock


def spend(limiter: RateLimiter, clock: FakeClock, calls: list[int]) -> list[tuple[float, int]]:
    """Make calls of so many tokens one after the other; give when each went."""
    gone = []
    for tokens in calls:
        limiter.acquire(tokens)
        gone.append((clock.now(), tokens))
    return gone


def most_in_a_minute(gone: list[tuple[float, int]]) -> int:
    return max(sum(n for t, n in gone if start <= t < start + 60) for start, _ in gone)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), st.integers(60, 5_000))
def test_tokens_of_any_minute_stay_within_the_limit_and_one_burst(
    calls: list[int], per_minute: int
) -> None:
    """A burst is five seconds' worth, or one call where that is larger."""
    clock = FakeClock()
    gone = spend(RateLimiter(clock, None, per_minute), clock, calls)
    burst = max(per_minute * BURST_SECONDS / 60, *calls)
    assert most_in_a_minute(gone) <= per_minute + burst + 1


@given(st.integers(1, 600), st.integers(1, 120))
def test_requests_of_any_minute_stay_within_the_limit_and_one_burst(
    per_minute: int, calls: int
) -> None:
    """Also where the limit is one request per minute."""
    clock = FakeClock()
    gone = spend(RateLimiter(clock, per_minute, None), clock, [1] * calls)
    assert most_in_a_minute(gone) <= per_minute + max(1, per_minute * BURST_SECONDS / 60) + 1


def test_the_limit_is_used_up() -> None:
    """Waiting longer than needed would leave paid capacity idle."""
    clock = FakeClock(0.0)
    spend(RateLimiter(clock, 120, None), clock, [0] * 1_000)
    assert clock.now() == pytest.approx((1_000 - 10) / 2, rel=0.01)


def test_the_first_seconds_are_free_and_then_it_is_steady() -> None:
    """A burst of five seconds' worth, then one call every half second."""
    clock = FakeClock()
    spend(RateLimiter(clock, 120, None), clock, [0] * 13)
    assert sum(clock.waits) == pytest.approx(1.5, abs=0.01)
    assert len(clock.waits) == 3


def test_the_scarcer_of_the_two_decides() -> None:
    """Requests are plenty, tokens are not; and the other way round."""
    for requests, tokens in ((6_000, 600), (60, 6_000_000)):
        clock = FakeClock(0.0)
        spend(RateLimiter(clock, requests, tokens), clock, [10] * 61)
        assert clock.now() == pytest.approx(56, abs=1.5)


def test_without_limits_nobody_waits(clock: FakeClock) -> None:
    """However much is asked."""
    spend(RateLimiter(clock, None, None), clock, [10**9] * 100)
    assert clock.waits == []


def test_a_call_larger_than_the_burst_goes_when_the_balance_is_full() -> None:
    """Else it could never go; what follows pays for it."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    gone = spend(limiter, clock, [600, 1])
    assert gone[0][0] == 0
    assert gone[1][0] == pytest.approx(55, abs=0.2)


def test_settling_gives_back_what_was_not_used() -> None:
    """And takes what was used beyond the estimate."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    limiter.acquire(50)
    limiter.settle(reserved=50, used=0)
    limiter.acquire(50)
    assert clock.waits == []
    limiter.settle(reserved=50, used=650)
    limiter.acquire(1)
    assert clock.now() == pytest.approx(60, abs=0.2)


def test_what_is_given_back_is_never_more_than_a_burst() -> None:
    """Many over-estimated calls must not save up a minute's worth."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    for _ in range(100):
        limiter.settle(reserved=50, used=0)
    gone = spend(limiter, clock, [50] * 12)
    assert most_in_a_minute(gone) <= 600 + 50


def test_idle_time_saves_up_no_more_than_a_burst() -> None:
    """After an hour of nothing, still five seconds' worth."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 60, None)
    clock.time = 3_600.0
    gone = spend(limiter, clock, [0] * 65)
    assert sum(t < 3_660 for t, _ in gone) <= 65
    assert gone[5][0] > 3_600


def test_a_clock_that_jumps_back_neither_frees_nor_blocks() -> None:
    """Time is counted on from where it jumped to."""
    clock = FakeClock(10_000.0)
    limiter = RateLimiter(clock, 60, None)
    spend(limiter, clock, [0] * 5)
    clock.time = 1_000.0
    gone = spend(limiter, clock, [0] * 3)
    assert [t for t, _ in gone] == pytest.approx([1_001, 1_002, 1_003], abs=0.05)


def test_threads_share_one_limit() -> None:
    """Many callers together are no faster than one."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 600, None)
    gone: list[float] = []
    lock = threading.Lock()

    def call() -> None:
        for _ in range(25):
            limiter.acquire(0)
            with lock:
                gone.append(clock.now())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gone) == 200
    # The fake clock adds up the sleeps of all threads, so it runs ahead, never behind.
    assert max(gone) >= (200 - 50) / 10 - 0.1


@given(st.floats(0.001, 10_000), st.lists(st.integers(0, 10_000), max_size=20))
def test_waiting_always_ends(per_minute: float, calls: list[int]) -> None:
    """However small the limit, and although a late clock's steps are coarse."""
    clock = FakeClock(4e9)
    spend(RateLimiter(clock, per_minute, per_minute), clock, calls)
    assert len(clock.waits) <= 50 * (len(calls) + 1)
