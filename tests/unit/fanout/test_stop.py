"""Stop a run, and say where it stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bedrock_spark.errors import RunHeldError, RunStoppedError
from bedrock_spark.fanout import status_of, stop_run, watch
from bedrock_spark.progress import Progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import RENEW_SECONDS, STOP, Lease
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.driving import Drive


def settle_stopped(d: Drive, **counts: Any) -> Callable[[Progress], None]:
    """Let jobs that are Stopping be Stopped by the next look."""

    def settle(_: Progress) -> None:
        for name, job in d.service.jobs.items():
            if job.status == "Stopping":
                d.service.move(name, "Stopped", **counts)

    return settle


def stopped(d: Drive) -> list[str]:
    return [c.removeprefix("stop ") for c in d.service.calls if c.startswith("stop ")]


def test_stopping_a_run_stops_every_job_once_and_waits(drive: Callable[..., Drive]) -> None:
    """Nothing more is submitted, on any machine, until the user runs again."""
    d = drive([50] * 4, max_active_jobs=3)
    d.advance()
    result = stop_run(d.controller, settle_stopped(d))
    assert (result.active, result.settled, result.waiting) == (0, 0, 4)
    assert sorted(stopped(d)) == sorted(j.job_arn for j in d.service.jobs.values())
    assert d.statuses() == {"Stopped": 3}
    d.restart()
    assert d.advance().reason is not None
    with pytest.raises(RunStoppedError, match="run or submit goes on"):
        watch(d.controller)
    assert len(d.created()) == 3


def test_a_job_that_the_user_stopped_costs_no_attempt(drive: Callable[..., Drive]) -> None:
    """When the user runs again, what it answered is kept and the rest is submitted."""
    d = drive([50], attempts=1)
    d.put_shard()
    d.advance()
    d.put_answers(answered=range(20))
    stop_run(d.controller, settle_stopped(d, processed=20))
    d.restart()
    d.controller.resume()
    assert d.advance().active == 1
    second = d.service.requests[1]["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
    assert second.endswith(layout.remainder_key(d.plan().shard_id, 2))
    d.service.move_all("Expired")
    assert d.advance().is_done  # that one was an attempt


def test_a_job_that_somebody_else_stopped_is_an_attempt(drive: Callable[..., Drive]) -> None:
    """It is submitted again, as often as attempts allow."""
    d = drive([50], attempts=2)
    d.advance()
    d.service.move_all("Stopped")
    assert d.advance().active == 1
    d.service.move_all("Stopped")
    assert d.advance().is_done


def test_that_a_job_is_to_be_stopped_is_in_the_ledger_before_the_call(
    drive: Callable[..., Drive],
) -> None:
    """Who is killed in the call leaves word that nobody else stopped it."""
    d = drive([50])
    d.advance()

    def die(_: str) -> None:
        raise KeyboardInterrupt

    d.service.stop = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stop_run(d.controller)
    state = Ledger(d.run.storage).load()
    assert state.hold is not None
    assert [job.stopping for job in state.jobs.values()] == ["user"]


def test_a_job_that_ended_meanwhile_is_no_trouble(drive: Callable[..., Drive]) -> None:
    """The service refuses to stop it; the next look shows how it ended."""
    d = drive([50])
    d.advance()

    def refuse(_: str) -> None:
        from bedrock_spark.errors import JobNameInUseError

        d.service.move_all("Completed", processed=50)
        raise JobNameInUseError("it has ended")

    d.service.stop = refuse  # type: ignore[method-assign]
    assert stop_run(d.controller).is_done


def test_who_stops_takes_over_from_who_drives(drive: Callable[..., Drive]) -> None:
    """And waits as long as the driver may create what it had announced."""
    d = drive([50] * 2)
    driver = Lease(d.run.storage, d.clock)
    driver.take()
    d.controller.lease = driver
    d.advance()
    began = d.clock.time
    with Lease(d.run.storage, d.clock, STOP) as lease:
        stopper = d.opened()
        stopper.lease = lease
        stop_run(stopper, settle_stopped(d))
        assert d.clock.time - began >= RENEW_SECONDS
        with pytest.raises(RunHeldError, match="is being stopped by"):
            d.advance()


def test_a_run_is_described_from_its_folder_and_one_listing(drive: Callable[..., Drive]) -> None:
    """Jobs, records, rate, time left, slots, unanswered, tokens; nothing is written."""
    d = drive([100] * 4, max_active_jobs=3)
    d.advance()
    d.service.move(d.name(0), "Completed", total=100, processed=100, succeeded=90, failed=10)
    job_id = d.service.jobs[d.name(0)].job_arn.rsplit("/", 1)[-1]
    manifest = json.dumps({"inputTokenCount": 1000, "outputTokenCount": 50}).encode()
    d.run.storage.write(f"{d.plan().output_prefix}{job_id}/manifest.json.out", manifest)
    d.service.move(d.name(1), "InProgress", total=100, processed=20)
    d.advance()
    d.service.move(d.name(1), "InProgress", total=100, processed=40)
    written = {o.key: o.version for o in d.run.storage.list("")}
    d.service.calls.clear()
    d.clock.time = d.service.time = 1_800_001_000.0
    status = status_of(d.opened(), d.clock)
    assert {o.key: o.version for o in d.run.storage.list("")} == written
    assert [c.split()[0] for c in d.service.calls] == ["list"]
    assert status.jobs == {"Completed": 1, "InProgress": 1, "Submitted": 2}
    assert (status.shards, status.settled, status.active, status.waiting) == (4, 1, 3, 0)
    assert (status.records, status.processed, status.unanswered) == (400, 140, 10)
    assert status.records_per_second == pytest.approx(0.14, rel=0.1)
    assert status.eta_seconds == pytest.approx(260 / 0.14, rel=0.1)
    assert (status.slots_used, status.slots) == (3, 3)
    assert status.tokens == {"input": 1000, "output": 50}
    assert (status.held, status.driver) == (None, None)
    assert json.loads(json.dumps(status.as_json()))["run_id"] == d.run.run_id


def test_who_drives_a_run_is_told(drive: Callable[..., Drive]) -> None:
    """So that somebody else need not try."""
    d = drive([50])
    with Lease(d.run.storage, d.clock):
        assert "driven by" in str(status_of(d.opened(), d.clock).driver)
