"""The rate limit: no minute has more than the limit, and the limit is used to the full."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.invoke.rate_limit import (
    BURST_SECONDS,
    DECREASE,
    FIRST_PER_SECOND,
    TOLERATED_CALLS,
    WINDOW_SECONDS,
    RateLimiter,
    Reservation,
)
from tests.unit.fakes import FakeClock


def spend(
    limiter: RateLimiter, clock: FakeClock, calls: list[int], most: int = 0
) -> list[tuple[float, int]]:
    """Make one call per number of tokens, each answered at once; return when each began."""
    begun = []
    for tokens in calls:
        reservation = limiter.acquire(tokens, most)
        begun.append((clock.now(), tokens))
        limiter.settle(reservation, tokens)
    return begun


def max_in_a_minute(begun: list[tuple[float, int]]) -> int:
    return max(sum(n for t, n in begun if start <= t < start + 60) for start, _ in begun)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), st.integers(60, 5_000))
def test_no_minute_has_more_tokens_than_allowed(calls: list[int], per_minute: int) -> None:
    """Except for a call that is larger than the whole limit, which has a minute of its own."""
    clock = FakeClock()
    begun = spend(RateLimiter(clock, None, per_minute), clock, calls)
    assert max_in_a_minute(begun) <= max(per_minute, *calls)


@given(st.integers(1, 600), st.integers(1, 120))
def test_no_minute_has_more_requests_than_allowed(per_minute: int, calls: int) -> None:
    """Also if the limit is one request per minute."""
    clock = FakeClock()
    begun = spend(RateLimiter(clock, per_minute, None), clock, [1] * calls)
    assert max_in_a_minute(begun) <= per_minute


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 200)), min_size=1, max_size=40))
def test_a_call_in_flight_counts_with_the_most_it_may_use(calls: list[tuple[int, int]]) -> None:
    """As the service counts it. No call is answered here, and no minute exceeds the limit."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    begun = []
    for expected, more in calls:
        limiter.acquire(expected, expected + more)
        begun.append((clock.now(), expected + more))
    assert max_in_a_minute(begun) <= 600


def test_the_whole_limit_is_used() -> None:
    """Waiting longer than needed would leave paid capacity idle."""
    clock = FakeClock(0.0)
    spend(RateLimiter(clock, 120, None), clock, [0] * 1_000)
    assert clock.now() == pytest.approx(1_000 / 2, rel=0.01)


def test_a_short_answer_frees_its_unused_tokens_at_once() -> None:
    """Each call reserves four times what it uses, and still the whole limit is used."""
    clock = FakeClock(0.0)
    spend(RateLimiter(clock, None, 6_000), clock, [50] * 600, most=200)
    assert clock.now() == pytest.approx(300, rel=0.03)


def test_calls_are_paced() -> None:
    """The calls of one second at once, then one call every half second."""
    clock = FakeClock(0.0)
    begun = spend(RateLimiter(clock, 120, None), clock, [0] * 9)
    assert [t for t, _ in begun] == pytest.approx([0, 0, 0, 0.5, 1, 1.5, 2, 2.5, 3], abs=0.02)


def test_the_limit_that_is_reached_first_decides() -> None:
    """Tokens if requests are plenty, and requests if tokens are."""
    for requests, tokens in ((6_000, 600), (60, 6_000_000)):
        clock = FakeClock(0.0)
        spend(RateLimiter(clock, requests, tokens), clock, [10] * 61)
        assert clock.now() == pytest.approx(60, abs=1.5)


def test_without_a_limit_the_rate_of_calls_doubles_every_second(clock: FakeClock) -> None:
    """Slow start: first 32 calls a second for the whole run, of any size, then soon any number."""
    limiter = RateLimiter(clock, None, None)
    limiter.shared_by = 2
    start = clock.now()
    begun = spend(limiter, clock, [10**9] * 5_000)
    seconds = [t - start for t, _ in begun]
    assert seconds[0] == 0
    assert FIRST_PER_SECOND / 2 <= sum(t < 1 for t in seconds) <= FIRST_PER_SECOND
    assert seconds[-1] < 10


def test_a_call_larger_than_the_limit_has_a_minute_of_its_own() -> None:
    """Else it could never begin. The next call waits until that minute is over, or longer."""
    clock = FakeClock(0.0)
    begun = spend(RateLimiter(clock, None, 600), clock, [900, 1])
    assert begun[0][0] == 0
    assert begun[1][0] == pytest.approx(90 - BURST_SECONDS, abs=1.1)


def test_settling_corrects_the_reservation() -> None:
    """It frees unused tokens, and counts those that were used beyond the expected ones."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    limiter.settle(limiter.acquire(10), 0)
    first = limiter.acquire(10)
    assert clock.waits == []
    limiter.settle(first, 610)
    limiter.acquire(1)
    assert clock.now() == pytest.approx(61, abs=1.1)


def test_settling_a_call_that_left_the_window_changes_no_count() -> None:
    """Its answer took more than a minute."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 600)
    slow = limiter.acquire(300)
    clock.time = 2 * WINDOW_SECONDS
    limiter.acquire(300)
    limiter.settle(slow, 5)
    assert limiter._tokens.in_last_minute(2 * WINDOW_SECONDS) == 300


def test_idle_time_saves_up_nothing() -> None:
    """After an idle hour, still only the calls of one second at once."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 60, None)
    clock.time = 3_600.0
    begun = spend(limiter, clock, [0] * 5)
    assert [t - 3_600 for t, _ in begun] == pytest.approx([0, 0, 1, 2, 3], abs=0.01)


def test_a_clock_that_jumps_back_changes_no_wait() -> None:
    """The limiter counts on from the time that the clock jumped to."""
    clock = FakeClock(10_000.0)
    limiter = RateLimiter(clock, 60, None)
    spend(limiter, clock, [0] * 2)
    clock.time = 1_000.0
    begun = spend(limiter, clock, [0] * 3)
    assert [t for t, _ in begun] == pytest.approx([1_001, 1_002, 1_003], abs=0.05)


def test_threads_share_one_limit() -> None:
    """Eight threads together are no faster than one."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 600, None)
    begun: list[float] = []
    lock = threading.Lock()

    def call() -> None:
        for _ in range(25):
            limiter.acquire(0)
            with lock:
                begun.append(clock.now())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 200
    assert max(begun) >= 200 / 10 - BURST_SECONDS - 0.1


@given(st.floats(0.001, 10_000), st.lists(st.integers(0, 10_000), max_size=20))
def test_waiting_always_ends(per_minute: float, calls: list[int]) -> None:
    """However small the limit, and although late times have coarse steps as floats."""
    clock = FakeClock(4e9)
    limiter = RateLimiter(clock, per_minute, per_minute)
    limiter._clock.sleep = lambda seconds: FakeClock.sleep(clock, seconds * 1e6)  # type: ignore[method-assign]
    spend(limiter, clock, calls)
    assert len(clock.waits) <= 2_000 * (len(calls) + 1)


def test_tasks_share_the_limits() -> None:
    """One task of three has a third of the limit; once it is alone, it has all of it."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 600, None)
    limiter.shared_by = 3
    spend(limiter, clock, [0] * 200)
    assert clock.now() == pytest.approx(60, abs=1.5)
    limiter.shared_by = 1
    spend(limiter, clock, [0] * 600)
    assert clock.now() == pytest.approx(120, abs=2)


def throttle(limiter: RateLimiter, reservation: Reservation | None = None) -> None:
    limiter.throttled(reservation or limiter.acquire(10))


def throttle_many(limiter: RateLimiter) -> None:
    """Throttle the smallest number of calls in a row that makes the limiter slow down."""
    for _ in range(TOLERATED_CALLS + 1):
        throttle(limiter)


def per_minute(limiter: RateLimiter, clock: FakeClock, calls: int = 200) -> float:
    """Return the tokens per minute of the next calls, each of 10 tokens."""
    start = clock.now()
    spend(limiter, clock, [10] * calls)
    return calls * 10 * 60 / (clock.now() - start)


def test_429s_slow_down_and_the_limit_grows_back() -> None:
    """Down by a tenth at once, back to the limit within half a minute, and never above it."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    spend(limiter, clock, [10] * 50)
    throttle_many(limiter)
    spend(limiter, clock, [10] * 100)
    assert per_minute(limiter, clock, 100) == pytest.approx(60_000 * DECREASE, rel=0.05)
    clock.time += 60
    assert per_minute(limiter, clock, 2_000) == pytest.approx(60_000, rel=0.06)


def test_a_few_429s_in_a_hundred_slow_nothing_down() -> None:
    """They may have any cause, and would slow a run down to a small part of its limit."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    start = clock.now()
    for _ in range(100):
        spend(limiter, clock, [10] * 39)
        throttle(limiter)
    assert limiter.throttled_calls == 100
    assert 39_000 * 60 / (clock.now() - start) == pytest.approx(60_000, rel=0.06)


def test_after_a_long_time_without_429s_new_ones_are_noticed_soon() -> None:
    """Calls that succeeded an hour ago say little."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    spend(limiter, clock, [10] * 5_000)
    for _ in range(12):
        throttle(limiter)
    assert per_minute(limiter, clock, 100) <= 60_000 * DECREASE * 1.05


def test_calls_in_flight_at_a_decrease_cause_no_other_decrease() -> None:
    """They began under the limit that was too high, and say nothing new."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, 60_000)
    in_flight = [limiter.acquire(10) for _ in range(16)]
    clock.time += 1
    for reservation in in_flight:
        throttle(limiter, reservation)
    assert limiter.throttled_calls == 16
    spend(limiter, clock, [10] * 200)
    assert per_minute(limiter, clock, 100) == pytest.approx(60_000 * DECREASE, rel=0.1)


def test_an_unknown_limit_is_learnt_from_what_went_through() -> None:
    """A little less than the tokens of the last minute before the 429s, and growing from there."""
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


def test_a_limit_that_is_used_up_in_seconds_is_learnt_before_a_minute_is_over() -> None:
    """The whole quota of a minute went through in seconds, and then every call is throttled."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    spend(limiter, clock, [100] * 100)
    assert clock.now() < 5
    for _ in range(150):
        throttle(limiter)
        clock.time += 0.1
    assert limiter.is_limited
    assert 10_000 * 0.7 < limiter._tokens.per_minute < 10_000 * 1.1  # type: ignore[operator]


def test_early_429s_that_others_caused_show_no_limit() -> None:
    """One call in five, in the first seconds. If the tokens of these seconds became the limit of a
    minute, the run would be slow for a long time."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    for _ in range(40):
        spend(limiter, clock, [10] * 4)
        throttle(limiter)
    assert clock.now() < 30
    assert not limiter.is_limited
    clock.time += 90
    assert per_minute(limiter, clock, 100) > 10_000


def test_if_no_call_has_succeeded_yet_the_rate_falls_and_then_rises_again() -> None:
    """The very first calls met 429s, because others use the quota: that shows no limit."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, None, None)
    for _ in range(10):
        clock.time += 0.1
        throttle_many(limiter)
    start = clock.now()
    spend(limiter, clock, [10] * 10)
    assert 5 < clock.now() - start < 10
    spend(limiter, clock, [10] * 2_000)
    assert clock.now() - start < 150


def test_learning_can_be_switched_off(clock: FakeClock) -> None:
    """A handful of calls is too few to learn from."""
    limiter = RateLimiter(clock, None, None, learns=False)
    throttle_many(limiter)
    spend(limiter, clock, [10] * 100)
    assert clock.waits == []


def test_the_limit_never_falls_to_zero() -> None:
    """However often it decreases: a run without any call would look like one that hangs."""
    clock = FakeClock(0.0)
    limiter = RateLimiter(clock, 60, None)
    for _ in range(50):
        throttle_many(limiter)
    start = clock.now()
    spend(limiter, clock, [0])
    assert clock.now() - start <= 60
