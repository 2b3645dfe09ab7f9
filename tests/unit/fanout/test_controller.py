"""The controller: every shard gets one job that completes, in as many steps as are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedrock_spark.errors import ConfigError, JobStateUnknownError
from bedrock_spark.fanout import StepResult, jobs_by_status, open_controller, progress_of, watch
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import RUN_ID, FakeRun
from tests.unit.fakes import make_config


def test_every_shard_gets_one_job(fake_run: Callable[..., FakeRun]) -> None:
    """Then the run is done, and a further step does nothing."""
    fake = fake_run([50, 60, 70])
    assert fake.advance() == StepResult(3, 0, 3, 0, 180, 0)
    fake.service.move_all("InProgress", processed=10)
    assert fake.advance() == StepResult(3, 0, 3, 0, 180, 30)
    fake.service.move_all("Completed", processed=50)
    done = fake.advance()
    assert (done.is_done, done.settled, done.processed) == (True, 3, 150)
    assert fake.advance() == done
    assert fake.create_calls() == [fake.job_name(0), fake.job_name(1), fake.job_name(2)]
    assert fake.statuses() == {"Completed": 3}


def test_active_jobs_never_exceed_the_slots(fake_run: Callable[..., FakeRun]) -> None:
    """When a job ends, the next one is submitted."""
    fake = fake_run([50] * 5, max_active_jobs=2)
    for settled, active in ((0, 2), (2, 2), (4, 1), (5, 0)):
        result = fake.advance()
        assert (result.settled, result.active) == (settled, active)
        assert result.waiting == 5 - settled - active
        fake.service.move_all("Completed")
    assert len(fake.create_calls()) == 5


def test_a_small_shard_is_never_submitted(fake_run: Callable[..., FakeRun]) -> None:
    """The service would refuse it. The fallback asks its records, so the run is done without it."""
    fake = fake_run([9, 10, 3])
    fake.advance()
    fake.service.move_all("Completed")
    result = fake.advance()
    assert (result.is_done, result.shards, result.records) == (True, 1, 10)
    assert fake.job_names() == {fake.job_name(1)}
    assert fake.advance().is_done


def test_a_run_of_small_shards_is_done_at_once(fake_run: Callable[..., FakeRun]) -> None:
    """There is nothing to submit."""
    fake = fake_run([1, 2])
    assert fake.advance().is_done
    assert fake.create_calls() == []


def test_no_free_slot_uses_up_no_attempt(fake_run: Callable[..., FakeRun]) -> None:
    """The shard waits for attempt 1 until the account has a free slot."""
    fake = fake_run([50] * 3, slots=1, attempts=1)
    for _ in range(30):
        if fake.advance().is_done:
            break
        fake.service.move_all("Completed", processed=50)
        fake.clock.time += 60
    assert fake.job_names() == {fake.job_name(i) for i in range(3)}
    assert len(fake.create_calls()) > 3
    assert fake.statuses() == {"Completed": 3}


def test_slots_are_learnt_from_refusals(fake_run: Callable[..., FakeRun]) -> None:
    """Later steps stay below the cap, and a raised cap is found."""
    fake = fake_run([50] * 30, slots=2, max_active_jobs=6)
    for _ in range(5):
        fake.advance()
    refused = len(fake.create_calls()) - 2
    assert refused == 2  # once, and once more in the next step, in case the refusal was temporary
    fake.service.slots = 6
    for _ in range(20):
        fake.service.move_all("Completed")
        fake.advance()
    assert fake.advance().is_done
    assert len(fake.create_calls()) == 30 + refused


def test_a_job_of_unknown_status_counts_as_active(fake_run: Callable[..., FakeRun]) -> None:
    """It may still run, so the shard gets no other job."""
    fake = fake_run([50])
    fake.advance()
    fake.service.move_all("Pondering")
    assert not fake.advance().is_done
    assert fake.create_calls() == [fake.job_name()]


def test_jobs_of_other_runs_are_ignored(fake_run: Callable[..., FakeRun]) -> None:
    """Even a job whose name contains the name of a job of this run."""
    fake = fake_run([50])
    fake.service.create(
        {"jobName": f"x-{RUN_ID}-shard-00000-00-a1-00000000", "clientRequestToken": "t"}
    )
    fake.advance()
    assert list(Ledger(fake.run.storage).replay()) == [fake.job_name()]


def test_watch_waits_between_steps_and_reports_progress(
    fake_run: Callable[..., FakeRun],
) -> None:
    """It waits `poll_seconds` ± 20 % on the run's clock, and not after the last step."""
    fake = fake_run([50, 50], poll_seconds=50)
    reports: list[str] = []

    def observe(progress: Any) -> None:
        reports.append(f"{progress.done}/{progress.total}")
        if len(reports) == 3:
            fake.service.move_all("Completed")

    assert watch(fake.controller, observe).is_done
    assert reports == ["0/100", "0/100", "0/100", "100/100"]
    assert len(fake.clock.waits) == 3
    assert all(40 <= w <= 60 for w in fake.clock.waits)


def test_progress_in_words() -> None:
    """As the progress line on the screen shows it."""
    progress = progress_of(StepResult(5, 2, 2, 1, 250_000, 123_456))
    assert (progress.stage, progress.done, progress.total) == ("batch", 123_456, 250_000)
    assert progress.detail == "2 of 5 shards done, 2 jobs active, 1 shards waiting"
    assert progress.waits_for == "the batch jobs"
    held = progress_of(StepResult(5, 2, 0, 3, 250_000, 123_456, "it was stopped"))
    assert held.detail.endswith("; nothing more is submitted: it was stopped")
    # Jobs may leave records out: when all shards are done, so are the records.
    assert progress_of(StepResult(5, 5, 0, 0, 250_000, 249_990)).is_done


def test_batch_jobs_need_a_run_folder_in_s3(fake_run: Callable[..., FakeRun]) -> None:
    """A local folder is refused before anything is submitted."""
    fake = fake_run([50])
    with pytest.raises(ConfigError, match=r"^run_uri = .*: Bedrock reads and writes S3 only"):
        open_controller(fake.run, fake.manifest, fake.clock)


def test_a_changed_number_of_slots_takes_effect(fake_run: Callable[..., FakeRun]) -> None:
    """The config may change between two commands of the same run."""
    fake = fake_run([50] * 4, max_active_jobs=1)
    assert fake.advance().active == 1
    fake.run = replace(fake.run, config=make_config(batch={"max_active_jobs": 3}))
    fake.restart()
    assert fake.advance().active == 3


def test_jobs_are_counted_by_status(fake_run: Callable[..., FakeRun]) -> None:
    """The report shows the counts. A job whose create call got no reply is Unknown."""
    fake = fake_run([50, 50, 50])

    def lose(request: dict[str, Any]) -> None:
        if request["jobName"] == fake.job_name(2):
            raise JobStateUnknownError("x")

    fake.service.before_create = lose
    fake.advance()
    fake.service.move(fake.job_name(0), "Completed")
    fake.service.before_create = lose
    fake.advance()
    assert fake.statuses() == {"Completed": 1, "Submitted": 1, "Unknown": 1}
    assert jobs_by_status([]) == {}
