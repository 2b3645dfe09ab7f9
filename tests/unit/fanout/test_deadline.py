"""A deadline: what batch jobs will not answer in time is left to the fallback in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.fanout.deadline import Deadline
from bedrock_spark.fanout.throughput import Throughput
from tests.unit.driving import Drive
from tests.unit.fakes import make_config

HOUR = 3600.0
FALLBACK = {"model_id": "m", "requests_per_minute": 60}


class Timed(Drive):
    """A run begun now, whose jobs answer so many records an hour each."""

    def __init__(self, folder: Path, records: list[int], **batch: Any) -> None:
        super().__init__(folder, records)
        config = make_config(batch={"timeout_hours": 24, **batch}, fallback=FALLBACK)
        self.run = replace(self.run, config=config, begun_at=self.clock.time)
        self.begun = self.service.time = self.clock.time
        self.restart()

    def pass_time(self, hours: float, speeds: dict[str, float]) -> None:
        """Let time pass, and jobs answer records at these speeds an hour."""
        self.clock.time += hours * HOUR
        passed = (self.clock.time - self.begun) / HOUR
        for name, speed in speeds.items():
            job = self.service.jobs[name]
            if job.status == "Stopping":
                self.service.move(name, "Stopped")
            elif not job.is_settled:
                total = 36_000
                done = min(total, int(passed * speed))
                status = "Completed" if done == total else "InProgress"
                self.service.move(name, status, total=total, processed=done, succeeded=done)


@pytest.fixture
def timed(tmp_path: Path) -> Callable[..., Timed]:
    return lambda records, **batch: Timed(tmp_path / "run", records, **batch)


def stopped(d: Drive) -> set[str]:
    arns = {c.removeprefix("stop ") for c in d.service.calls if c.startswith("stop ")}
    return {name for name, job in d.service.jobs.items() if job.job_arn in arns}


def test_a_job_that_will_not_make_it_is_stopped_in_time_for_the_fallback(
    timed: Callable[..., Timed],
) -> None:
    """And one that will is not; what the stopped one leaves is not submitted again."""
    d = timed([36_000, 36_000], deadline_hours=20, attempts=3)
    d.advance()
    speeds = {d.name(0): 2000.0, d.name(1): 1000.0}  # 18 hours and 36 hours
    when = None
    for _ in range(19 * 12):
        d.pass_time(1 / 12, speeds)
        if d.advance().is_done:
            break
        when = when or ((d.clock.time - d.begun) / HOUR if stopped(d) else None)
    assert stopped(d) == {d.name(1)}
    # An hour is kept free. The fallback answers 3,600 an hour: at 11.8 h it needs 6.7 of 7.2 hours.
    assert when == pytest.approx(12.5, abs=0.5)
    assert d.service.jobs[d.name(0)].status == "Completed"
    assert len(d.created()) == 2
    d.restart()
    assert d.controller.result().is_done


def test_what_waits_is_the_fallbacks_when_it_takes_all_the_time_that_is_left(
    timed: Callable[..., Timed],
) -> None:
    """It is not submitted any more."""
    d = timed([36_000] * 3, deadline_hours=20, max_active_jobs=1)
    d.advance()
    speeds = {d.name(0): 100.0}
    for _ in range(20):
        d.pass_time(1, speeds)
        if d.advance().is_done:
            break
    assert d.controller.result().is_done
    assert d.created() == [d.name(0)]


def test_a_process_for_every_step_comes_to_the_same(timed: Callable[..., Timed]) -> None:
    """The verdict of the step before is in the ledger; the rate is that since the submission."""
    d = timed([36_000, 36_000], deadline_hours=20)
    d.advance()
    speeds = {d.name(0): 2000.0, d.name(1): 1000.0}
    for _ in range(19 * 4):
        d.pass_time(1 / 4, speeds)
        d.restart()
        if d.advance().is_done:
            break
    assert stopped(d) == {d.name(1)}


def test_a_clock_that_jumps_for_a_moment_stops_nothing(timed: Callable[..., Timed]) -> None:
    """A verdict is that of two steps."""
    d = timed([36_000], deadline_hours=40)
    d.advance()
    speeds = {d.name(0): 2000.0}
    for _ in range(10):
        d.pass_time(1 / 12, speeds)
        d.advance()
    d.clock.time += 30 * 24 * HOUR
    d.advance()
    d.clock.time -= 30 * 24 * HOUR
    for _ in range(10):
        d.pass_time(1 / 12, speeds)
        d.advance()
    assert stopped(d) == set()


def test_without_a_deadline_nothing_is_stopped(timed: Callable[..., Timed]) -> None:
    """However slow."""
    d = timed([36_000])
    d.advance()
    for _ in range(50):
        d.pass_time(24, {d.name(0): 1.0})
        d.advance()
    assert stopped(d) == set()


def test_without_a_fallback_jobs_run_as_long_as_they_may() -> None:
    """Nobody answers what is left."""
    deadline = Deadline(at=100.0, per_second=None)
    for now in (1.0, 50.0, 99.0):
        assert deadline.late([], 1000, Throughput(), now) is None
    assert deadline.late([], 1000, Throughput(), 100.0) is None
    assert deadline.late([], 1000, Throughput(), 101.0) == []
