"""Jobs: their registry and store, what a defect does to them, and their counts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.script import Answers, AnswerScript
from bedrock_emulator.batch.records import RecordRules, RecordWork
from bedrock_emulator.batch.runner import JobRunner
from bedrock_emulator.families.family import Context
from bedrock_emulator.families.registry import family_of
from bedrock_emulator.faults import Faults
from bedrock_emulator.http.parts import Parts
from bedrock_emulator.settings import Settings
from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.jobs import Counts, Job, JobRegistry
from bedrock_emulator.state.store import Store

from .kit import Kit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def _job() -> Job:
    request = {"jobName": "n", "modelId": "m"}
    return Job("abcdefghijkl", "us-east-1", 1, "arn", "m", request, 10.0, 99.0).moved(
        "Submitted", 10.0
    )


def test_a_job_is_the_same_after_it_was_stored(store: Store) -> None:
    """Its history and counts are stored, too."""
    book = JobRegistry(store)
    book.add(_job())
    moved = book.move(
        "abcdefghijkl", frozenset({"Submitted"}), "Completed", 20.0, counts=Counts(3, 3, 2, 1)
    )
    assert JobRegistry(store).get("abcdefghijkl") == moved
    assert moved is not None
    assert moved.end_time == 20.0


def test_a_move_that_comes_too_late_does_nothing(store: Store) -> None:
    """`move` returns None, and the job stays as it is."""
    book = JobRegistry(store)
    book.add(_job())
    assert book.move("abcdefghijkl", frozenset({"InProgress"}), "Completed", 20.0) is None
    job = book.get("abcdefghijkl")
    assert job is not None
    assert job.status == "Submitted"


def test_the_past_is_shown_as_it_was(store: Store) -> None:
    """No job before its creation, then each status from its time on."""
    book = JobRegistry(store)
    book.add(_job())
    job = book.move("abcdefghijkl", frozenset({"Submitted"}), "Failed", 20.0, message="why")
    assert job is not None
    assert job.as_seen(9.0) is None
    before, after = job.as_seen(19.0), job.as_seen(20.0)
    assert before is not None
    assert after is not None
    assert (before.status, before.message, before.end_time) == ("Submitted", "", None)
    assert (after.status, after.message, after.end_time) == ("Failed", "why", 20.0)


def test_a_listener_that_fails_does_not_stop_a_job(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error is logged, the other listeners are called, and the job has moved."""
    statuses: list[str] = []

    def fail(_: Job) -> None:
        raise RuntimeError("queue is gone")

    book = JobRegistry(store)
    book.listen(fail)
    book.listen(lambda job: statuses.append(job.status))
    book.add(_job())
    assert statuses == ["Submitted"]
    assert "queue is gone" in caplog.text


def test_a_change_that_fails_leaves_no_transaction(store: Store) -> None:
    """It changes nothing, and the next change is made."""
    good = (b"digest", "batch", "arn", b"R1", True, True)
    bad = (b"digest", "batch", "arn", object(), True, True)
    with pytest.raises(sqlite3.Error):
        store.replace_job("arn", {"n": 1}, [good, bad])
    assert list(store.documents("bill")) == []
    assert store.select("SELECT count(*) FROM answers") == [(0,)]
    store.replace_job("arn", {"n": 2}, [good])
    assert list(store.documents("bill")) == [("arn", {"n": 2})]
    assert store.select("SELECT count(*) FROM answers") == [(1,)]


class Broken:
    """Stands in for a part of the emulator that has a defect."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"a defect in {name}")


def test_a_defect_in_a_job_fails_that_job_only(store: Store) -> None:
    """The time goes on, and so do other jobs."""
    clock = Clock(speed=0)
    parts = Parts(Settings(speed=0), store, clock, Faults(), Answers(), reset=lambda: None)
    parts.start()
    runner = JobRunner(parts.world, Broken())  # type: ignore[arg-type]
    job = _job()
    parts.world.jobs.add(job)
    runner.begin(replace(job, submit_time=clock.now(), expiration_time=clock.now() + 99_999))
    assert parts.world.timeline.advance(3600, 60)
    failed = parts.world.jobs.get(job.job_id)
    assert failed is not None
    assert failed.status == "Failed"
    assert failed.message == "The job failed because of an internal error: RuntimeError"
    parts.close()


def test_a_defect_in_a_record_is_its_error() -> None:
    """It has its own id, may be repeated, and tells no content."""
    family = family_of("amazon.nova-lite-v1:0")
    assert family is not None
    broken = replace(family, answer=_fails)
    context = Context("amazon.nova-lite-v1:0", DeterministicBackend(), AnswerScript(Answers(), 7))
    work = RecordWork("job", broken, context, False, RecordRules((), 7))
    body = {"messages": [{"role": "user", "content": [{"text": "secret"}]}]}
    result = work.process(json.dumps({"recordId": "R7", "modelInput": body}).encode(), 0)
    line = json.loads(result.line)
    assert (result.ok, result.record_id, line["recordId"]) == (False, "R7", "R7")
    assert (line["error"]["errorCode"], line["error"]["retryable"]) == (500, True)
    assert "secret" not in line["error"]["errorMessage"]


def _fails(*_: Any) -> Any:
    raise KeyError("secret")


def test_counts_never_fall_and_do_not_depend_on_the_machine(kit: Kit) -> None:
    """Neither while it stops, nor after the clock was advanced, for many jobs at once."""
    arns = [kit.submit(200) for _ in range(5)]
    for arn in arns:
        kit.until(arn, lambda status: status == "InProgress", step=20)
    kit.local.advance_clock(100)
    counts = [kit.job(arn)["processedRecordCount"] for arn in arns]
    assert min(counts) > 0
    again = [kit.job(arn)["processedRecordCount"] for arn in arns]
    assert counts == again
    started = kit.job(arns[0])
    kit.bedrock.stop_model_invocation_job(jobIdentifier=arns[0])
    stopping = kit.job(arns[0])
    assert stopping["status"] == "Stopping"
    assert stopping["processedRecordCount"] == started["processedRecordCount"]
    kit.local.advance_clock(31)
    stopped = kit.job(arns[0])
    assert stopped["status"] == "Stopped"
    assert stopped["processedRecordCount"] == started["processedRecordCount"]
