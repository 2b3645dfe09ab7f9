"""The rate limit: never more than allowed in any minute, and never less than it could be."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.invoke.rate_limit import (
    BURST_SECONDS,
    CUT,
    FIRST_PER_SECOND,
    MINUTE,
    TOLERATED_CALLS,
    RateLimiter,
    Reservation,
)
from tests.unit.fakes import FakeClock


def spend(
    limiter: RateLimiter, clock: FakeClock, calls: list[int], most: int = 0
) -> list[tuple[float, int]]:
    """Make calls of so many tokens, each answered at once; give when each went."""
    gone = []
    for tokens in calls:
        taken = limiter.acquire(tokens, most)
        gone.append((clock.now(), tokens))
        limiter.settle(taken, tokens)
    return gone


def most_in_a_minute(gone: list[tuple[float, int]]) -> int:
    return max(sum(n for t, n in gone if start <= t < start + 60) for start, _ in gone)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), st.integers(60, 5_000))
def test_no_minute_has_more_tokens_than_allowed(calls: list[int], per_minute: int) -> None:
    """But for a call that is larger than all that is allowed, which goes alone."""
    clock = FakeClock()
    gone = spend(RateLimiter(clock, None, per_minute), clock, calls)
    assert most_in_a_minute(gone) <= max(per_minute, *calls)


@given(st.integers(1, 600), st.integers(1, 120))
def test_no_minute_has_more_requests_than_allowed(per_minute: int, calls: int) -> None:
    """Also where the limit is one request per minute."""
    clock = FakeClock()
    gone = spend(RateLimiter(clock, per_minute, None), clock, [1] * calls)
    assert most_in_a_minute(gone) <= per_minute


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 200)), min_size=1, max_size=40))
def test_what_is_under_way_counts_with_all_it_may_use(calls: list[tuple[int, int]]) -> None:
    """The service reserves so; nothing is answered here, and every minute stays within."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    gone = []
    for expected, more in calls:
        limiter.acquire(expected, expected + more)
        gone.append((clock.now(), expected + more))
    assert most_in_a_minute(gone) <= 600


def test_the_limit_is_used_up() -> None:
    """Waiting longer than needed would leave paid capacity idle."""
    clock = FakeClock(0.0)
    spend(RateLimiter(clock, 120, None), clock, [0] * 1_000)
    assert clock.now() == pytest.approx(1_000 / 2, rel=0.01)


def test_answers_that_are_shorter_than_they_may_be_leave_room_at_once() -> None:
    """Reserved is four times what is used, and the limit is used up all the same."""
    clock = FakeClock(0.0)
    spend(RateLimiter(clock, None, 6_000), clock, [50] * 600, most=200)
    assert clock.now() == pytest.approx(300, rel=0.03)


def test_calls_are_paced() -> None:
    """A second's worth at once, then one call every half second."""
    clock = FakeClock(0.0)
    gone = spend(RateLimiter(clock, 120, None), clock, [0] * 9)
    assert [t for t, _ in gone] == pytest.approx([0, 0, 0, 0.5, 1, 1.5, 2, 2.5, 3], abs=0.02)


def test_the_scarcer_of_the_two_decides() -> None:
    """Requests are plenty, tokens are not; and the other way round."""
    for requests, tokens in ((6_000, 600), (60, 6_000_000)):
        clock = FakeClock(0.0)
        spend(RateLimiter(clock, requests, tokens), clock, [10] * 61)
        assert clock.now() == pytest.approx(60, abs=1.5)


def test_without_limits_calls_get_more_and_more(clock: FakeClock) -> None:
    """A few a second of the whole run at first, however large; soon as many as one likes."""
    limiter = RateLimiter(clock, None, None)
    limiter.parts = 2
    began = clock.now()
    gone = spend(limiter, clock, [10**9] * 5_000)
    seconds = [t - began for t, _ in gone]
    assert seconds[0] == 0
    assert FIRST_PER_SECOND / 2 <= sum(t < 1 for t in seconds) <= FIRST_PER_SECOND
    assert seconds[-1] < 10


def test_a_call_larger_than_the_limit_goes_alone() -> None:
    """Else it could never go; what follows waits until its minute is over, or longer."""
    clock = FakeClock(0.0)
    gone = spend(RateLimiter(clock, None, 600), clock, [900, 1])
    assert gone[0][0] == 0
    assert gone[1][0] == pytest.approx(90 - BURST_SECONDS, abs=1.1)


def test_settling_gives_back_what_was_not_used() -> None:
    """And takes what was used beyond what was expected."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    limiter.settle(limiter.acquire(10), 0)
    first = limiter.acquire(10)
    assert clock.waits == []
    limiter.settle(first, 610)
    limiter.acquire(1)
    assert clock.now() == pytest.approx(61, abs=1.1)


def test_settling_what_is_long_forgotten_changes_no_count() -> None:
    """An answer that took more than a minute."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    slow = limiter.acquire(300)
    clock.time = 2 * MINUTE
    limiter.acquire(300)
    limiter.settle(slow, 5)
    assert limiter._tokens.in_last_minute(2 * MINUTE) == 300


def test_idle_time_saves_up_nothing() -> None:
    """After an hour of nothing, still one second's worth at once."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 60, None)
    clock.time = 3_600.0
    gone = spend(limiter, clock, [0] * 5)
    assert [t - 3_600 for t, _ in gone] == pytest.approx([0, 0, 1, 2, 3], abs=0.01)


def test_a_clock_that_jumps_back_neither_frees_nor_blocks() -> None:
    """Time is counted on from where it jumped to."""
    clock = FakeClock(10_000.0)
    limiter = RateLimiter(clock, 60, None)
    spend(limiter, clock, [0] * 2)
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
    assert max(gone) >= 200 / 10 - BURST_SECONDS - 0.1


@given(st.floats(0.001, 10_000), st.lists(st.integers(0, 10_000), max_size=20))
def test_waiting_always_ends(per_minute: float, calls: list[int]) -> None:
    """However small the limit, and although a late clock's steps are coarse."""
    clock = FakeClock(4e9)
    limiter = RateLimiter(clock, per_minute, per_minute)
    limiter._clock.sleep = lambda seconds: FakeClock.sleep(clock, seconds * 1e6)  # type: ignore[method-assign]
    spend(limiter, clock, calls)
    assert len(clock.waits) <= 2_000 * (len(calls) + 1)


def test_tasks_share_the_limits() -> None:
    """One of three has a third; once it is alone it has all."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 600, None)
    limiter.parts = 3
    spend(limiter, clock, [0] * 200)
    assert clock.now() == pytest.approx(60, abs=1.5)
    limiter.parts = 1
    spend(limiter, clock, [0] * 600)
    assert clock.now() == pytest.approx(120, abs=2)


def throttle(limiter: RateLimiter, taken: Reservation | None = None) -> None:
    limiter.throttled(taken or limiter.acquire(10))


def throttle_many(limiter: RateLimiter) -> None:
    """Throttle as many calls in a row as are too many."""
    for _ in range(TOLERATED_CALLS + 1):
        throttle(limiter)


def per_minute(limiter: RateLimiter, clock: FakeClock, calls: int = 200) -> float:
    """Give the rate of the next calls, each of 10 tokens."""
    began = clock.now()
    spend(limiter, clock, [10] * calls)
    return calls * 10 * 60 / (clock.now() - began)


def test_429s_slow_down_and_the_limit_grows_back() -> None:
    """By a share at once, back to what is allowed in half a minute, and never above."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    spend(limiter, clock, [10] * 50)
    throttle_many(limiter)
    spend(limiter, clock, [10] * 100)
    assert per_minute(limiter, clock, 100) == pytest.approx(60_000 * CUT, rel=0.05)
    clock.time += 60
    assert per_minute(limiter, clock, 2_000) == pytest.approx(60_000, rel=0.06)


def test_a_few_429s_in_a_hundred_slow_nothing_down() -> None:
    """They may have any cause; there they would slow a run down to a small part of its limit."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    began = clock.now()
    for _ in range(100):
        spend(limiter, clock, [10] * 39)
        throttle(limiter)
    assert limiter.throttled_calls == 100
    assert 39_000 * 60 / (clock.now() - began) == pytest.approx(60_000, rel=0.06)


def test_after_a_long_time_without_429s_many_are_seen_soon() -> None:
    """What went well an hour ago says little."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    spend(limiter, clock, [10] * 5_000)
    for _ in range(12):
        throttle(limiter)
    assert per_minute(limiter, clock, 100) <= 60_000 * CUT * 1.05


def test_calls_that_were_under_way_at_a_cut_do_not_cut_again() -> None:
    """They were let go by the limit that was too high, and say nothing new."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    under_way = [limiter.acquire(10) for _ in range(16)]
    clock.time += 1
    for taken in under_way:
        throttle(limiter, taken)
    assert limiter.throttled_calls == 16
    spend(limiter, clock, [10] * 200)
    assert per_minute(limiter, clock, 100) == pytest.approx(60_000 * CUT, rel=0.1)


def test_an_unknown_limit_is_learnt_from_what_went_through() -> None:
    """What the last minute took before the 429s, a little less, and growing from there."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    for _ in range(700):
        spend(limiter, clock, [10])
        clock.time += 0.1
    while not limiter.is_limited:
        throttle(limiter)
    learnt = per_minute(limiter, clock, 100)
    assert 3_000 < learnt < 6_000 * 1.1
    clock.time += 300
    spend(limiter, clock, [10] * 300)
    assert per_minute(limiter, clock, 100) > 2 * learnt


def test_a_limit_that_is_used_up_at_once_is_learnt_before_a_minute_is_over() -> None:
    """All that is allowed in a minute went through in seconds, and then nothing does."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    spend(limiter, clock, [100] * 100)
    assert clock.now() < 5
    for _ in range(150):
        throttle(limiter)
        clock.time += 0.1
    assert limiter.is_limited
    assert 10_000 * 0.7 < limiter._tokens.per_minute < 10_000 * 1.1  # type: ignore[operator]


def test_early_429s_that_others_caused_are_not_taken_for_a_limit() -> None:
    """One call in five, in the first seconds: taken for the limit of a minute, what went through by
    then would slow the run down for a long time."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    for _ in range(40):
        spend(limiter, clock, [10] * 4)
        throttle(limiter)
    assert clock.now() < 30
    assert not limiter.is_limited
    clock.time += 90
    assert per_minute(limiter, clock, 100) > 10_000


def test_where_nothing_went_through_yet_calls_get_fewer_and_then_more_again() -> None:
    """The very first calls met 429s, because others use the quota: that shows no limit."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    for _ in range(10):
        clock.time += 0.1
        throttle_many(limiter)
    began = clock.now()
    spend(limiter, clock, [10] * 10)
    assert 5 < clock.now() - began < 10
    spend(limiter, clock, [10] * 2_000)
    assert clock.now() - began < 150


def test_a_limiter_may_be_told_not_to_learn(clock: FakeClock) -> None:
    """For a handful of calls there is nothing to learn from."""
    limiter = RateLimiter(clock, None, None, learns=False)
    throttle_many(limiter)
    spend(limiter, clock, [10] * 100)
    assert clock.waits == []


def test_the_limit_never_falls_to_nothing() -> None:
    """However often it is cut: a run that stands still would look like one that hangs."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 60, None)
    for _ in range(50):
        throttle_many(limiter)
    began = clock.now()
    spend(limiter, clock, [0])
    assert clock.now() - began <= 60
