"""The deadline: records that batch jobs will not answer in time are left to the fallback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.fanout.deadline import Deadline
from bedrock_spark.fanout.throughput import Throughput
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import make_config

HOUR = 3600.0
FALLBACK = {"model_id": "m", "requests_per_minute": 60}


class TimedRun(FakeRun):
    """A run that begins now, whose jobs answer records at given speeds."""

    def __init__(self, folder: Path, records: list[int], **batch: Any) -> None:
        super().__init__(folder, records)
        config = make_config(batch={"timeout_hours": 24, **batch}, fallback=FALLBACK)
        self.run = replace(self.run, config=config, begun_at=self.clock.time)
        self.began = self.service.time = self.clock.time
        self.restart()

    def pass_time(self, hours: float, speeds: dict[str, float]) -> None:
        """Let `hours` pass. speeds: by job name, the records per hour since the run began."""
        self.clock.time += hours * HOUR
        elapsed = (self.clock.time - self.began) / HOUR
        for name, speed in speeds.items():
            job = self.service.jobs[name]
            if job.status == "Stopping":
                self.service.move(name, "Stopped")
            elif not job.is_settled:
                total = 36_000
                done = min(total, int(elapsed * speed))
                status = "Completed" if done == total else "InProgress"
                self.service.move(name, status, total=total, processed=done, succeeded=done)


@pytest.fixture
def timed(tmp_path: Path) -> Callable[..., TimedRun]:
    return lambda records, **batch: TimedRun(tmp_path / "run", records, **batch)


def stopped(fake: FakeRun) -> set[str]:
    arns = {c.removeprefix("stop ") for c in fake.service.calls if c.startswith("stop ")}
    return {name for name, job in fake.service.jobs.items() if job.job_arn in arns}


def test_a_late_job_is_stopped_in_time_for_the_fallback(
    timed: Callable[..., TimedRun],
) -> None:
    """A job that meets the deadline runs on; the stopped job's rest is not submitted again."""
    fake = timed([36_000, 36_000], deadline_hours=20, attempts=3)
    fake.advance()
    speeds = {fake.job_name(0): 2000.0, fake.job_name(1): 1000.0}  # 18 hours and 36 hours
    stopped_at = None
    for _ in range(19 * 12):
        fake.pass_time(1 / 12, speeds)
        if fake.advance().is_done:
            break
        if stopped_at is None and stopped(fake):
            stopped_at = (fake.clock.time - fake.began) / HOUR
    assert stopped(fake) == {fake.job_name(1)}
    # The margin is one hour: 5 % of 20. The fallback answers 3,600 records an hour. At 12.5 h the
    # late job leaves 23,500 records, which need all of the 6.5 hours that are left.
    assert stopped_at == pytest.approx(12.5, abs=0.5)
    assert fake.service.jobs[fake.job_name(0)].status == "Completed"
    assert len(fake.create_calls()) == 2
    fake.restart()
    assert fake.controller.result().is_done


def test_waiting_shards_are_left_to_the_fallback_in_time(
    timed: Callable[..., TimedRun],
) -> None:
    """Once the fallback needs all the time that is left for them, they are not submitted."""
    fake = timed([36_000] * 3, deadline_hours=20, max_active_jobs=1)
    fake.advance()
    speeds = {fake.job_name(0): 100.0}
    for _ in range(20):
        fake.pass_time(1, speeds)
        if fake.advance().is_done:
            break
    assert fake.controller.result().is_done
    assert fake.create_calls() == [fake.job_name(0)]
    fake.restart()
    assert fake.advance().is_done  # also those that never had a job
    assert fake.create_calls() == [fake.job_name(0)]


def test_the_deadline_works_with_one_process_per_step(timed: Callable[..., TimedRun]) -> None:
    """The ledger has the verdict of the step before; the rate is measured since the submission."""
    fake = timed([36_000, 36_000], deadline_hours=20)
    fake.advance()
    speeds = {fake.job_name(0): 2000.0, fake.job_name(1): 1000.0}
    for _ in range(19 * 4):
        fake.pass_time(1 / 4, speeds)
        fake.restart()
        if fake.advance().is_done:
            break
    assert stopped(fake) == {fake.job_name(1)}


def test_a_clock_that_jumps_for_one_step_stops_nothing(timed: Callable[..., TimedRun]) -> None:
    """Two steps in a row must come to the same verdict."""
    fake = timed([36_000], deadline_hours=40)
    fake.advance()
    speeds = {fake.job_name(0): 2000.0}
    for _ in range(10):
        fake.pass_time(1 / 12, speeds)
        fake.advance()
    fake.clock.time += 30 * 24 * HOUR
    fake.advance()
    fake.clock.time -= 30 * 24 * HOUR
    for _ in range(10):
        fake.pass_time(1 / 12, speeds)
        fake.advance()
    assert stopped(fake) == set()


def test_a_step_that_holds_the_run_leaves_nothing_to_the_fallback(
    timed: Callable[..., TimedRun],
) -> None:
    """Even if it is also the step in which the deadline would: a person decides first."""
    fake = timed([36_000] * 20, deadline_hours=20, max_active_jobs=5)
    fake.advance()  # 720,000 records are too many for the fallback: the first verdict of two
    assert fake.controller.deadline is not None
    assert fake.controller.deadline.verdict is not None
    fake.service.move_all("Failed")
    assert fake.advance().settled == 0
    assert fake.controller.hold is not None


def test_without_a_deadline_nothing_is_stopped(timed: Callable[..., TimedRun]) -> None:
    """Even if a job is very slow."""
    fake = timed([36_000])
    fake.advance()
    for _ in range(50):
        fake.pass_time(24, {fake.job_name(0): 1.0})
        fake.advance()
    assert stopped(fake) == set()


def test_without_a_fallback_jobs_run_until_the_deadline() -> None:
    """Nothing else would answer their records."""
    deadline = Deadline(at=100.0, per_second=None)
    for now in (1.0, 50.0, 99.0):
        assert deadline.late_jobs([], 1000, Throughput(), now) is None
    assert deadline.late_jobs([], 1000, Throughput(), 100.0) is None
    assert deadline.late_jobs([], 1000, Throughput(), 101.0) == []
