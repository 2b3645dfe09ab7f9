"""The sweep: if ledger and service disagree, the service is right, and there is a finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.errors import JobStateUnknownError, JobThrottledError, StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import JobTokens, Ledger
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import RUN_ID, FakeRun
from tests.unit.fakes import FakeBatchJobs


def findings(fake: FakeRun) -> list[str]:
    fake.controller.flush()
    return [f["kind"] for f in Ledger(fake.run.storage).load().all_findings()]


def test_a_job_that_the_ledger_lost_is_adopted(fake_run: Callable[..., FakeRun]) -> None:
    """Its intent was in a torn object. The job is found by its name, and not paid for again."""
    fake = fake_run([50, 60])
    fake.advance()
    (path,) = (Path(fake.run.storage.uri) / layout.LEDGER).iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    fake.restart()
    result = fake.advance()
    assert (result.active, result.waiting) == (2, 0)
    assert len(fake.create_calls()) == 2
    assert sorted(findings(fake)) == ["ledger_disagrees"] * 2 + ["ledger_object_set_aside"]
    fake.service.move_all("Completed", processed=50)
    fake.restart()
    assert fake.advance().is_done


def test_a_job_without_a_known_shard_in_its_name_is_ignored(
    fake_run: Callable[..., FakeRun],
) -> None:
    """Its name begins with the run id, but it belongs to no shard of the run."""
    fake = fake_run([50])
    for name in (f"{RUN_ID}-by-hand", f"{RUN_ID}-shard-99999-00-a1-01234567"):
        fake.service.create({"jobName": name, "clientRequestToken": "t"})
    fake.advance()
    assert set(fake.controller.tracker.jobs) == {fake.job_name()}


def test_a_wrong_final_status_in_the_ledger_is_corrected(
    fake_run: Callable[..., FakeRun],
) -> None:
    """The service's status is noted, with a finding."""
    fake = fake_run([50, 50], attempts=1)
    fake.advance()
    fake.service.move(fake.job_name(0), "Completed")
    fake.advance()
    fake.service.move(fake.job_name(0), "PartiallyCompleted", processed=7)
    fake.advance()
    assert fake.statuses() == {"PartiallyCompleted": 1, "Submitted": 1}
    assert findings(fake) == ["ledger_disagrees"]


def test_a_job_shares_its_strings_with_what_is_seen_of_it(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each listing has strings of its own; memory keeps one of each."""
    fake = fake_run([50, 50])
    fake.advance()
    listed = fake.service.list

    def with_own_strings(*args: Any, **more: Any) -> list[SeenJob]:
        copies = (
            (job, "".join([*job.job_name]), "".join([*job.token])) for job in listed(*args, **more)
        )
        return [replace(job, job_name=name, token=token) for job, name, token in copies]

    monkeypatch.setattr(fake.service, "list", with_own_strings)
    fake.advance()
    jobs = [(job, job.seen) for job in fake.controller.jobs.values()]
    assert len(jobs) == 2
    for job, seen in jobs:
        assert seen is not None
        assert seen.token is job.token
        assert seen.job_name is job.job_name


def test_a_settled_job_stays_settled(fake_run: Callable[..., FakeRun]) -> None:
    """A listing that shows it running again is stale, and is ignored."""
    fake = fake_run([50, 50])
    fake.advance()
    fake.service.move(fake.job_name(0), "Completed")
    fake.advance()
    fake.service.move(fake.job_name(0), "InProgress")
    result = fake.advance()
    assert (result.settled, result.active) == (1, 1)
    assert findings(fake) == []


def test_a_listing_that_lags_causes_no_second_job(fake_run: Callable[..., FakeRun]) -> None:
    """A new job that it does not show yet is requested again with the same token."""
    fake = fake_run([50] * 3)
    fake.service.remembers_tokens = True

    def lose(request: dict[str, Any]) -> None:
        fake.service.hidden.add(request["jobName"])
        raise JobStateUnknownError("no reply")

    fake.service.after_create = lose
    for _ in range(6):
        fake.advance()
        fake.restart()
    fake.service.after_create = lambda request: None
    fake.advance()
    assert fake.controller.result().active == 3
    assert fake.job_names() == {fake.job_name(i) for i in range(3)}
    assert {r["clientRequestToken"] for r in fake.service.requests} == {
        fake.plan(i).token for i in range(3)
    }


def test_a_job_that_is_listed_twice_counts_once(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of a listing may overlap while jobs begin and end."""
    fake = fake_run([50, 50])
    list_jobs = FakeBatchJobs.list
    monkeypatch.setattr(FakeBatchJobs, "list", lambda *a, **k: list_jobs(*a, **k) * 2)
    fake.advance()
    fake.service.move(fake.job_name(0), "Completed", processed=50)
    result = fake.advance()
    assert (result.settled, result.active, result.processed) == (1, 1, 50)


def test_a_long_run_lists_only_jobs_that_may_have_changed(fake_run: Callable[..., FakeRun]) -> None:
    """Those since the earliest open job. A new process reads that time from the ledger."""
    fake = fake_run([50] * 40, max_active_jobs=2)
    bounds: list[float | None] = []
    list_jobs = fake.service.list

    def note(name: str, after: float | None = None, status: str | None = None) -> Any:
        bounds.append(after)
        return list_jobs(name, after, status)

    fake.service.list = note  # type: ignore[assignment]
    for step in range(20):
        fake.advance()
        fake.service.move_all("Completed", processed=50)
        if step % 5 == 4:
            fake.restart()
    assert fake.advance().is_done
    assert bounds[:2] == [None, None]  # no listing has shown a job yet
    times = [after for after in bounds[3:] if after is not None]
    assert len(times) == len(bounds) - 3
    assert times == sorted(times)
    assert fake.service.time - times[-1] < 10
    assert len(fake.create_calls()) == 40


def test_a_sweep_that_fails_keeps_what_it_saw(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output of one job cannot be read. The ledger still gets the other one as settled."""
    fake = fake_run([50, 50])
    fake.advance()
    fake.service.move_all("Completed", processed=50)
    read = LocalStorage.read_if_present

    def fail(self: LocalStorage, key: str) -> bytes | None:
        if "shard-00001" in key:
            raise StorageError("no reply")
        return read(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "read_if_present", fail)
        with pytest.raises(StorageError):
            fake.advance()
    assert fake.statuses() == {"Completed": 1, "Submitted": 1}
    fake.restart()
    assert fake.advance().is_done


def test_a_step_that_cannot_write_its_ledger_object_loses_nothing(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job is created without its intent. The next step submits its shards and notes the ends."""
    fake = fake_run([50] * 4, max_active_jobs=2)
    fake.advance()
    fake.service.move_all("Completed", processed=50)

    def fail(*_: Any) -> None:
        raise StorageError("no reply")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "create", fail)
        with pytest.raises(StorageError):
            fake.advance()
    assert len(fake.create_calls()) == 2
    fake.controller.flush()  # what a process does before it ends
    ledger = Ledger(fake.run.storage).load()
    assert [job.is_settled for job in ledger.jobs.values()] == [True, True]
    assert fake.advance().active == 2
    assert len(fake.create_calls()) == 4
    fake.service.move_all("Completed", processed=50)
    fake.restart()
    assert fake.advance().is_done


def test_a_step_that_cannot_plan_a_job_does_not_lose_its_shard(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outputs of a shard cannot be listed, after other shards were taken. Then they can."""
    fake = fake_run([50] * 3)
    fake.advance()
    fake.service.move_all("Expired")
    list_objects = LocalStorage.list

    def fail(self: LocalStorage, prefix: str) -> Any:
        if prefix == layout.outputs_prefix("shard-00001-00"):
            raise StorageError("no reply")
        return list_objects(self, prefix)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "list", fail)
        for _ in range(2):
            with pytest.raises(StorageError):
                fake.advance()
    assert fake.advance().active == 3
    assert sorted(fake.create_calls()) == sorted(
        fake.job_name(shard, attempt) for shard in range(3) for attempt in (1, 2)
    )


def test_a_step_writes_at_most_one_ledger_object(fake_run: Callable[..., FakeRun]) -> None:
    """None if nothing changed. ARNs wait for the next object."""
    fake = fake_run([50] * 6, max_active_jobs=2)
    objects = []
    for step in range(8):
        fake.advance()
        objects.append(len(fake.run.storage.list(f"{layout.LEDGER}/")))
        if step % 2:
            fake.service.move_all("Completed", processed=50)
    assert objects == [1, 1, 2, 2, 3, 3, 4, 4]
    assert fake.controller.result().is_done


def test_a_throttled_listing_is_tried_again_in_the_next_step(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run survives an hour of throttling. After a day of throttling the error is raised."""
    fake = fake_run([50])
    list_jobs = FakeBatchJobs.list

    def throttle(*_: Any, **__: Any) -> Any:
        raise JobThrottledError("slower")

    monkeypatch.setattr(FakeBatchJobs, "list", throttle)
    for _ in range(20):
        assert fake.advance().active == 0
    assert fake.create_calls() == []  # nothing is submitted without a listing
    monkeypatch.setattr(FakeBatchJobs, "list", list_jobs)
    assert fake.advance().active == 1
    monkeypatch.setattr(FakeBatchJobs, "list", throttle)
    for _ in range(600):
        fake.advance()
    with pytest.raises(JobThrottledError):
        fake.advance()


def test_jobs_of_other_runs_are_counted_rarely(fake_run: Callable[..., FakeRun]) -> None:
    """Not in every step: it takes a call per status. New processes read the count in the ledger."""
    fake = fake_run([50] * 10, max_active_jobs=4)
    for i in range(3):
        fake.service.create({"jobName": f"other-{i}", "clientRequestToken": str(i)})
    for _ in range(10):
        fake.advance()
        fake.restart()
    assert (len(fake.job_names()) - 3, fake.service.looks) == (1, 1)
    for i in range(3):
        fake.service.move(f"other-{i}", "Completed")
    fake.clock.time += 3600
    fake.advance()
    assert (len(fake.job_names()) - 3, fake.service.looks) == (4, 2)


@pytest.mark.parametrize(
    ("counts", "tokens", "images"),
    [
        ({"inputTokenCount": 5, "outputTokenCount": 6}, JobTokens(5, 6), None),
        ({"outputTokenCount": 6}, JobTokens(0, 6), None),
        ({"outputImgCount512x512pStep50": 3, "outputImgCount1024x1024pStep50": 4}, None, 7),
        ({"inputTokenCount": 0, "outputTokenCount": 0}, JobTokens(0, 0), None),
        ({"totalRecordCount": 50}, None, None),
        (None, None, None),
    ],
)
def test_what_a_manifest_counts_is_kept(
    fake_run: Callable[..., FakeRun],
    counts: dict[str, int] | None,
    tokens: JobTokens | None,
    images: int | None,
) -> None:
    """In the ledger, too. A count that it lacks is unknown, and not 0: the budget estimates it."""
    fake = fake_run([50])
    fake.advance()
    name = fake.job_name(0)
    if counts is not None:
        folder = fake.service.jobs[name].job_arn.rsplit("/", 1)[-1]
        key = f"{fake.plan(0).output_prefix}{folder}/{layout.OUTPUT_MANIFEST_FILE}"
        fake.run.storage.write(key, json.dumps(counts).encode())
    fake.service.move(name, "Completed", processed=50)
    fake.advance()
    for _ in range(2):
        job = fake.controller.jobs[name]
        assert (job.tokens, job.images) == (tokens, images)
        fake.controller.flush()
        fake.restart()
