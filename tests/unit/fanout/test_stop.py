"""Stop a run, and show its status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import (
    JobRejectedError,
    JobsNotStoppedError,
    JobStateUnknownError,
    RunFolderError,
    RunHeldError,
    RunStoppedError,
)
from bedrock_spark.fanout import status_of, stop_run, watch
from bedrock_spark.progress import Progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import RENEW_SECONDS, STOP, Lease
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import FakeRun


def settle_stopped(fake: FakeRun, **counts: Any) -> Callable[[Progress], None]:
    """Return an observer that lets Stopping jobs be Stopped before the next step."""

    def settle(_: Progress) -> None:
        for name, job in fake.service.jobs.items():
            if job.status == "Stopping":
                fake.service.move(name, "Stopped", **counts)

    return settle


def stopped(fake: FakeRun) -> list[str]:
    return [c.removeprefix("stop ") for c in fake.service.calls if c.startswith("stop ")]


def test_stopping_a_run_stops_every_job_once_and_waits_for_its_end(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Nothing more is submitted on any machine until the user runs it again."""
    fake = fake_run([50] * 4, max_active_jobs=3)
    fake.advance()
    result = stop_run(fake.controller, settle_stopped(fake))
    assert (result.active, result.settled, result.waiting) == (0, 0, 4)
    assert sorted(stopped(fake)) == sorted(j.job_arn for j in fake.service.jobs.values())
    assert fake.statuses() == {"Stopped": 3}
    fake.restart()
    assert fake.advance().reason is not None
    with pytest.raises(RunStoppedError, match="run or submit goes on"):
        watch(fake.controller)
    assert len(fake.create_calls()) == 3


def test_a_stop_whose_ledger_object_is_lost_is_not_forgotten(
    fake_run: Callable[..., FakeRun],
) -> None:
    """No controller opens, so no job is submitted again, until the object is restored."""
    fake = fake_run([50] * 2, max_active_jobs=1)
    fake.advance()
    stop_run(fake.controller, settle_stopped(fake))
    fake.controller.flush()
    (stop,) = (
        path
        for path in (Path(fake.run.storage.uri) / layout.LEDGER).iterdir()
        if b'"held"' in path.read_bytes()
    )
    data = stop.read_bytes()
    stop.unlink()
    with pytest.raises(RunFolderError, match=rf"{stop.name}: is missing, .* a stop may be forg"):
        fake.restart()
    stop.write_bytes(data)
    fake.restart()
    assert fake.advance().reason is not None
    assert len(fake.create_calls()) == 1


def test_a_job_that_the_user_stopped_uses_up_no_attempt(fake_run: Callable[..., FakeRun]) -> None:
    """When the user runs it again, its answers are kept and the rest is submitted."""
    fake = fake_run([50], attempts=1)
    fake.put_shard()
    fake.advance()
    fake.put_answers(answered=range(20))
    stop_run(fake.controller, settle_stopped(fake, processed=20))
    fake.restart()
    fake.controller.resume()
    assert fake.advance().active == 1
    second = fake.service.requests[1]["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
    assert second.endswith(layout.remainder_key(fake.plan().shard_id, 2))
    fake.service.move_all("Expired")
    assert fake.advance().is_done  # the one allowed attempt is used up


def test_a_job_that_somebody_else_stopped_uses_up_an_attempt(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Another attempt is submitted while `attempts` allows it."""
    fake = fake_run([50], attempts=2)
    fake.advance()
    fake.service.move_all("Stopped")
    assert fake.advance().active == 1
    fake.service.move_all("Stopped")
    assert fake.advance().is_done


def test_the_ledger_has_the_intent_to_stop_before_the_call(
    fake_run: Callable[..., FakeRun],
) -> None:
    """If the process is killed in the call, the ledger still says that the user stopped the job."""
    fake = fake_run([50])
    fake.advance()

    def kill(_: str) -> None:
        raise KeyboardInterrupt

    fake.service.stop = kill  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stop_run(fake.controller)
    state = Ledger(fake.run.storage).load()
    assert state.hold is not None
    assert [job.stopping for job in state.jobs.values()] == ["user"]


def test_a_job_that_ended_meanwhile_is_no_error(fake_run: Callable[..., FakeRun]) -> None:
    """The service refuses to stop it; the next sweep shows how it ended."""
    fake = fake_run([50])
    fake.advance()

    def refuse(_: str) -> None:
        from bedrock_spark.errors import JobNameInUseError

        fake.service.move_all("Completed", processed=50)
        raise JobNameInUseError("it has ended")

    fake.service.stop = refuse  # type: ignore[method-assign]
    assert stop_run(fake.controller).is_done


def test_jobs_that_may_not_be_stopped_end_the_wait(
    fake_run: Callable[..., FakeRun], caplog: pytest.LogCaptureFixture
) -> None:
    """After a few tries. The error lists the jobs that run on, and the progress has the message."""
    fake = fake_run([50] * 3)
    fake.advance()
    fake.service.stop_error = JobRejectedError("AccessDeniedException: no")
    fake.service.move(fake.job_name(2), "Stopping")
    seen: list[str] = []

    def observe(progress: Progress) -> None:
        seen.append(progress.detail)
        if len(seen) == 6:  # the others are waited for
            settle_stopped(fake)(progress)

    with pytest.raises(JobsNotStoppedError, match="2 jobs cannot be stopped") as caught:
        stop_run(fake.controller, observe)
    for shard in (0, 1):
        assert fake.service.jobs[fake.job_name(shard)].job_arn in str(caught.value)
    assert fake.service.jobs[fake.job_name(2)].job_arn not in str(caught.value)
    assert "AccessDeniedException: no" in str(caught.value)
    assert "2 are not stopped yet: AccessDeniedException: no" in seen[1]
    assert "AccessDeniedException: no" in caplog.text
    assert len(seen) < 10
    state = Ledger(fake.run.storage).load()
    assert state.hold is not None
    fake.service.stop_error = None
    fake.restart()
    assert stop_run(fake.controller, settle_stopped(fake)).active == 0


def test_a_refusal_for_a_while_is_no_end(fake_run: Callable[..., FakeRun]) -> None:
    """Two refusals, then the service agrees; and a job that has ended meanwhile is no refusal."""
    fake = fake_run([50] * 2)
    fake.advance()
    fake.service.stop_error = JobRejectedError("AccessDeniedException: no")
    steps = 0

    def observe(progress: Progress) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            fake.service.stop_error = None
            fake.service.move(fake.job_name(0), "Completed", processed=50)
        settle_stopped(fake)(progress)

    assert stop_run(fake.controller, observe).settled == 1


def test_a_service_that_never_answers_ends_the_wait_too(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Later than a refusal: the next call may arrive."""
    fake = fake_run([50])
    fake.advance()
    fake.service.stop_error = JobStateUnknownError("no reply")
    began = fake.clock.time
    with pytest.raises(JobsNotStoppedError, match="no reply"):
        stop_run(fake.controller)
    assert 120 < fake.clock.time - began < 1_200


def test_stopping_takes_over_the_lease_of_the_controller(fake_run: Callable[..., FakeRun]) -> None:
    """It waits for the controller's next renewal: until then, announced jobs may be created."""
    fake = fake_run([50] * 2)
    fake.controller.lease = Lease(fake.run.storage, fake.clock)
    fake.controller.lease.acquire()
    fake.advance()
    began = fake.clock.time
    with Lease(fake.run.storage, fake.clock, STOP) as lease:
        stopper = fake.open_controller()
        stopper.lease = lease
        stop_run(stopper, settle_stopped(fake))
        assert fake.clock.time - began >= RENEW_SECONDS
        with pytest.raises(RunHeldError, match="is being stopped by"):
            fake.advance()


def test_the_status_is_read_from_the_run_folder_and_one_listing(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Jobs, records, rate, time left, slots, unanswered records, tokens; nothing is written."""
    fake = fake_run([100] * 4, max_active_jobs=3)
    fake.advance()
    fake.service.move(
        fake.job_name(0), "Completed", total=100, processed=100, succeeded=90, failed=10
    )
    job_id = fake.service.jobs[fake.job_name(0)].job_arn.rsplit("/", 1)[-1]
    manifest = json.dumps({"inputTokenCount": 1000, "outputTokenCount": 50}).encode()
    fake.run.storage.write(f"{fake.plan().output_prefix}{job_id}/manifest.json.out", manifest)
    fake.service.move(fake.job_name(1), "InProgress", total=100, processed=20)
    fake.advance()
    fake.service.move(fake.job_name(1), "InProgress", total=100, processed=40)
    written = {o.key: o.version for o in fake.run.storage.list("")}
    fake.service.calls.clear()
    fake.clock.time = fake.service.time = 1_800_001_000.0
    status = status_of(fake.open_controller(reads_only=True), fake.clock)
    assert {o.key: o.version for o in fake.run.storage.list("")} == written
    assert [c.split()[0] for c in fake.service.calls] == ["list"]
    assert status.jobs == {"Completed": 1, "InProgress": 1, "Submitted": 2}
    assert (status.shards, status.settled, status.active, status.waiting) == (4, 1, 3, 0)
    assert (status.records, status.processed, status.unanswered) == (400, 140, 10)
    assert status.records_per_second == pytest.approx(0.14, rel=0.1)
    assert status.eta_seconds == pytest.approx(260 / 0.14, rel=0.1)
    assert (status.slots_used, status.slots) == (3, 3)
    assert status.tokens == {"input": 1000, "output": 50}
    assert (status.blocked, status.controller) == (None, None)
    assert json.loads(json.dumps(status.as_json()))["run_id"] == fake.run.run_id


def test_the_status_names_the_controller_of_a_run(fake_run: Callable[..., FakeRun]) -> None:
    """The process that has the lease."""
    fake = fake_run([50])
    with Lease(fake.run.storage, fake.clock):
        assert "controlled by" in str(
            status_of(fake.open_controller(reads_only=True), fake.clock).controller
        )
