"""The job book, tested without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bedrock_emulator.state.jobs import Counts, Job, JobRegistry
from bedrock_emulator.state.store import Store


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
