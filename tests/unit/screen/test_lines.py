"""Progress as lines: each has a time, not too many are written, and silence never lasts long."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.progress import Counts, Progress
from bedrock_spark.screen.due_lines import LINE_SECONDS
from bedrock_spark.screen.lines import ProgressLines

NOON = 1_800_014_400.0  # 12:00:00 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def written() -> list[str]:
    return []


@pytest.fixture
def lines(written: list[str]) -> ProgressLines:
    return ProgressLines(written.append)


def test_lines_have_times_counts_rate_and_time_left(
    lines: ProgressLines, written: list[str]
) -> None:
    """The first and the last line of a stage are always written."""
    lines.observe(Progress("batch", 0, 60_000, "0 of 12 shards done"), NOON)
    lines.observe(Progress("batch", 1_200, 60_000, "1 of 12 shards done"), NOON + 60)
    lines.observe(Progress("batch", 60_000, 60_000, "12 of 12 shards done"), NOON + 62)
    lines.observe(Progress("collect", 0, None), NOON + 63)
    assert written == [
        "12:00:00 batch     0/60,000 records (0%); 0 of 12 shards done",
        "12:01:00 batch     1,200/60,000 records (2%), 20/s, 49 min left; 1 of 12 shards done",
        "12:01:02 batch     60,000/60,000 records (100%); 12 of 12 shards done",
        "12:01:03 collect   begins",
    ]


def test_a_wait_says_for_what_and_since_when(lines: ProgressLines, written: list[str]) -> None:
    """A line a minute, although nothing changes and nobody reports anything."""
    waiting = Progress("batch", 5, 10, "1 jobs active", waits_for="the batch jobs")
    lines.observe(waiting, NOON)
    for second in range(5, 130, 5):
        lines.tick(NOON + second)
    note = "no change since 12:00:00 ({}), waits for the batch jobs"
    assert written[1:] == [
        f"12:01:00 batch     5/10 records (50%); 1 jobs active; {note.format('1 min')}",
        f"12:02:00 batch     5/10 records (50%); 1 jobs active; {note.format('2 min')}",
    ]


def test_nothing_is_written_before_the_first_stage(
    lines: ProgressLines, written: list[str]
) -> None:
    """Nor after the last one has been finished."""
    lines.tick(NOON)
    lines.observe(Progress("canary", 5, 5), NOON)
    lines.finish(NOON)
    lines.tick(NOON + 1_000)
    assert len(written) == 1


def test_the_last_progress_of_a_stage_is_not_lost(lines: ProgressLines, written: list[str]) -> None:
    """Even if it came too soon after the line before it."""
    lines.observe(Progress("collect", 1, 10), NOON)
    lines.observe(Progress("collect", 9, 10), NOON + 1)
    lines.observe(Progress("publish", 0, None), NOON + 2)
    lines.observe(Progress("publish", 3, None), NOON + 3)
    lines.finish(NOON + 4)
    assert [line[9:] for line in written] == [
        "collect   1/10 records (10%)",
        "collect   9/10 records (90%), 8/s, 1 s left",
        "publish   begins",
        "publish   3 records, 3/s",
    ]


def test_the_date_is_written_when_it_changes(lines: ProgressLines, written: list[str]) -> None:
    """Batch jobs run over night."""
    for hours in (0, 11, 13, 14):
        lines.observe(Progress("batch", hours, 100), NOON + hours * 3_600)
    assert [line.split(" batch")[0] for line in written] == [
        "12:00:00",
        "23:00:00",
        "2027-01-16 01:00:00",
        "02:00:00",
    ]


STAGES = ("prepare", "batch", "collect")


@given(
    st.lists(
        st.tuples(st.sampled_from(STAGES), st.integers(0, 5), st.floats(0, 30), st.booleans()),
        max_size=80,
    )
)
def test_there_are_neither_too_many_lines_nor_too_few(
    steps: list[tuple[str, int, float, bool]],
) -> None:
    """One line a minute besides begins and ends, while a stage goes on."""
    times: list[float] = []
    now = NOON
    lines = ProgressLines(lambda line: times.append(now))
    stage, begins = None, 0
    last_done = False
    for name, done, seconds, is_observed in steps:
        target = now + seconds
        while now + 5 <= target:
            now += 5
            lines.tick(now)
        now = target
        if is_observed:
            is_done = done == 5
            begins += 1 + (name != stage) if name != stage or is_done or last_done else 0
            stage, last_done = name, is_done
            lines.observe(Progress(name, done, 5), now)
        if times and not last_done:  # nothing is waited for once a stage is done
            assert now - times[-1] < LINE_SECONDS + 10
    assert len(times) <= begins + 1 + (now - NOON) / LINE_SECONDS


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_share_is_100_only_if_all_is_done(done: int, total: int) -> None:
    """It is rounded down."""
    written: list[str] = []
    ProgressLines(written.append).observe(Progress("batch", min(done, total), total), NOON)
    assert bool(re.search(r"\(100%\)", written[0])) == (done >= total)


def test_a_line_has_slots_and_money_if_there_are_any(
    lines: ProgressLines, written: list[str]
) -> None:
    counts = Counts(slots_used=4, slots=20, cost_usd=1.25, budget_usd=5.0)
    lines.observe(Progress("batch", 0, 10, "4 jobs active", counts=counts), NOON)
    assert written == [
        "12:00:00 batch     0/10 records (0%); 4 jobs active; 4 of 20 slots used; "
        "$1.25 of $5.00 spent"
    ]


def test_what_came_between_two_lines_is_written_a_minute_after_the_first(
    lines: ProgressLines, written: list[str]
) -> None:
    """As progress, and not as a wait in which nothing changes."""
    lines.observe(Progress("batch", 0, 10), NOON)
    lines.observe(Progress("batch", 6, 10), NOON + 30)
    lines.tick(NOON + 59)
    lines.tick(NOON + 60)
    assert written[1:] == ["12:01:00 batch     6/10 records (60%), 12/min, 20 s left"]
