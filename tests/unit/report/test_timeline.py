"""Jobs over time: nothing is lost in bins, and no slot is used twice at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bedrock_spark.report.binned import Bins, step_for
from bedrock_spark.report.timeline import (
    BINS,
    EXACT_BARS,
    ROWS,
    Asked,
    asked_before,
    asked_by_minute,
    timeline_of,
)
from bedrock_spark.run_folder.ledger import Job
from tests.unit.page.reports import BEGUN, job, jobs_of

TIMES = st.tuples(st.floats(0, 1e6), st.floats(0, 5e5))
SPANS = st.lists(TIMES, min_size=1, max_size=30)


def jobs_from(spans: list[tuple[float, float]]) -> list[Job]:
    return [job(n, begins, seconds, processed=7 + n) for n, (begins, seconds) in enumerate(spans)]


@given(SPANS)
def test_records_and_tokens_in_bins_add_up(spans: list[tuple[float, float]]) -> None:
    """To those of all jobs, though each bin is a whole number."""
    jobs = jobs_from(spans)
    timeline = timeline_of(jobs, [], {}, BEGUN)
    assert timeline is not None
    assert sum(timeline["records"]["batch"]) == sum(7 + n for n in range(len(jobs)))
    assert sum(timeline["tokens"]["input"]) == 60_000 * len(jobs)
    assert min(timeline["records"]["batch"]) >= 0
    assert len(timeline["slots"]) <= BINS


@given(SPANS)
def test_a_slot_has_one_job_at_a_time_and_no_slot_is_without_need(
    spans: list[tuple[float, float]],
) -> None:
    """The number of rows is the largest number of jobs at one time."""
    timeline = timeline_of(jobs_from(spans), [], {}, BEGUN)
    assert timeline is not None
    bars = sorted(timeline["bars"], key=lambda bar: (bar["row"], bar["begins"], bar["ends"]))
    for one, other in pairwise(bars):
        assert one["row"] != other["row"] or one["ends"] <= other["begins"] + 0.11  # rounded
    assert timeline["most_slots"] == 1 + max(bar["row"] for bar in bars) == max(timeline["slots"])


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900), st.integers(0, 99)), max_size=20))
def test_a_sum_in_bins_is_that_of_adding_up_every_second(
    amounts: list[tuple[float, float, int]],
) -> None:
    """The difference array agrees with the overlap of each amount with each bin."""
    bins = Bins.covering(0, 1_800, 60)
    spans = [(begins, begins + seconds, n) for begins, seconds, n in amounts]
    expected = [0.0] * bins.count
    for begins, ends, n in spans:
        for place in range(bins.count):
            overlap = min(ends, 60.0 * place + 60) - max(begins, 60.0 * place)
            if ends - begins > 1e-9 and overlap > 0:
                expected[place] += n * overlap / (ends - begins)
            elif ends - begins <= 1e-9 and place == bins.index(begins):
                expected[place] += n
    whole = 0.0
    for place, count in enumerate(bins.sums(spans)):
        whole += expected[place] - count
        assert abs(whole) < 0.51


@pytest.mark.parametrize(("count", "slots"), [(EXACT_BARS + 1, 3), (90, ROWS + 1), (5_000, 900)])
def test_many_jobs_are_drawn_as_few_bars(count: int, slots: int) -> None:
    """Each job begins in one bar, and a failed one is not hidden by others."""
    jobs = jobs_of(count, slots)
    timeline = timeline_of(jobs.values(), [], {}, BEGUN)
    assert timeline is not None
    bars = timeline["bars"]
    assert len(bars) <= ROWS * BINS
    assert max(bar["row"] for bar in bars) < ROWS
    assert timeline["slots_per_row"] == -(-timeline["most_slots"] // ROWS)
    assert sum(bar["jobs"] for bar in bars) == count
    has_failed = any(each.seen and each.seen.status == "Failed" for each in jobs.values())
    assert has_failed == any(bar["status"] == "Failed" for bar in bars)


def test_an_active_job_ends_now_and_one_that_was_not_created_is_not_drawn() -> None:
    """A slot of a job that is announced only is not in use."""
    jobs = [job(0, 0, 100), job(1, 10, 0, "InProgress"), Job("s", 1, "announced", "t")]
    timeline = timeline_of(jobs, [], {}, BEGUN + 500)
    assert timeline is not None
    shown = [(bar["status"], bar["ends"]) for bar in timeline["bars"]]
    assert shown == [("Completed", 100), ("active", 500)]


def test_a_clock_that_is_not_ours_is_not_used() -> None:
    """A local Bedrock's runs faster; the ledger has noted when the run saw the job."""
    far = job(0, 90_000, 40_000)
    own = replace(far, known_at=BEGUN + 20, settled_at=BEGUN + 95)
    timeline = timeline_of([own], [], {}, BEGUN + 500)
    assert timeline is not None
    assert (timeline["begins_at"], timeline["bin_seconds"]) == ("2026-03-14T09:00:20Z", 1)
    assert [(bar["begins"], bar["ends"]) for bar in timeline["bars"]] == [(0, 75)]
    late = replace(far, announced_at=BEGUN, known_at=BEGUN + 90_000, settled_at=BEGUN + 999_999)
    timeline = timeline_of([late], [], {}, BEGUN + 500)
    assert timeline is not None
    assert [bar["ends"] - bar["begins"] for bar in timeline["bars"]] == [40_000]


def test_the_fallback_is_carried_from_report_to_report() -> None:
    """A command that does not collect knows its answers from the last report alone."""
    minute = int(BEGUN // 60)
    asked = asked_by_minute({str(minute + 9): 5, str(minute): 3})
    assert asked[0] == Asked(BEGUN, BEGUN + 60, 3)
    first = timeline_of([job(0, 0, 5_000)], asked, {"input": 80, "output": 16}, BEGUN)
    again = timeline_of([job(0, 0, 5_000)], asked_before(first), {"input": 80, "output": 16}, BEGUN)
    assert first is not None
    assert again == first
    assert sum(first["records"]["fallback"]) == 8
    assert sum(first["tokens"]["input"]) == 60_080
    assert timeline_of([], [], {}, BEGUN) is None
    assert asked_before(None) == []


@given(st.floats(0, 1e9))
def test_a_width_of_bins_is_round_and_wide_enough(seconds: float) -> None:
    step = step_for(seconds, BINS)
    assert seconds / step <= BINS - 1
    assert step < 60 or step % 60 == 0
