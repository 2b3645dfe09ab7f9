"""The pace of a stage: its rate over a sliding window, and the time that is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.progress import WINDOW_SECONDS, Pace, Progress


def test_there_is_no_rate_before_something_is_done() -> None:
    """A rate of zero would mean that the stage never ends."""
    pace = Pace()
    assert pace.per_second is None
    pace.add(100, 1_000.0)
    pace.add(100, 1_060.0)
    assert (pace.per_second, pace.seconds_left(1_000)) == (None, None)
    assert pace.changed_at == 1_000.0


def test_a_run_that_is_carried_on_counts_only_what_is_new() -> None:
    """What was done before is no part of the rate."""
    pace = Pace()
    pace.add(50_000, 1_000.0)
    pace.add(50_600, 1_060.0)
    assert pace.per_second == pytest.approx(10)
    assert pace.seconds_left(51_600) == pytest.approx(100)
    assert pace.seconds_left(None) is None


def test_only_the_window_counts() -> None:
    """A stage that has become slower shows its new rate."""
    pace = Pace()
    for second in range(100):
        pace.add(second * 1_000, float(second))
    for second in range(100, 100 + int(WINDOW_SECONDS) + 10, 10):
        pace.add(99_000 + (second - 100), float(second))
    assert pace.per_second == pytest.approx(1, rel=0.01)


def test_two_slow_polls_are_enough_for_a_rate() -> None:
    """Also if they are further apart than the window."""
    pace = Pace()
    pace.add(0, 0.0)
    pace.add(7_200, 2 * WINDOW_SECONDS)
    assert pace.per_second == pytest.approx(4)


def test_a_count_that_falls_begins_again() -> None:
    """As when the fallback asks another round: a rate is never negative."""
    pace = Pace()
    pace.add(100, 0.0)
    pace.add(5, 10.0)
    pace.add(15, 20.0)
    assert pace.per_second == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0.01, 400)), max_size=300))
def test_the_rate_is_that_of_the_kept_values_and_few_are_kept(
    steps: list[tuple[int, float]],
) -> None:
    """For any order of steps: the rate lies between the slowest and the fastest step."""
    pace, done, now = Pace(), 0, 0.0
    for records, seconds in steps:
        done, now = done + records, now + seconds
        pace.add(done, now)
    assert len(pace._window) <= WINDOW_SECONDS + 3
    rates = [records / seconds for records, seconds in steps[1:]]
    if pace.per_second is not None:
        assert min(rates) - 1e-6 <= pace.per_second <= max(rates) + 1e-6
        left = pace.seconds_left(done + 100)
        assert left is not None
        assert left >= 0


def test_a_stage_without_records_is_done() -> None:
    """A total that is not known yet is never reached."""
    assert Progress("collect", 0, 0).is_done
    assert not Progress("collect", 0, None).is_done
