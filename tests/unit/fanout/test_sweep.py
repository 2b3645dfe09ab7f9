"""The sweep: what ledger and service disagree on is settled as the service says, and noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import JobStateUnknownError, JobThrottledError, StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.storage import LocalStorage
from tests.unit.driving import RUN_ID, Drive
from tests.unit.fakes import FakeBatchJobs


def findings(d: Drive) -> list[str]:
    d.controller.flush()
    return [f["kind"] for f in Ledger(d.run.storage).load().all_findings()]


def test_a_job_that_the_ledger_lost_is_taken_in(drive: Callable[..., Drive]) -> None:
    """A torn last object held its intent: it is found by its name, not paid for again."""
    d = drive([50, 60])
    d.advance()
    (path,) = (Path(d.run.storage.uri) / layout.LEDGER).iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    d.restart()
    result = d.advance()
    assert (result.active, result.waiting) == (2, 0)
    assert len(d.created()) == 2
    assert sorted(findings(d)) == ["ledger_disagrees"] * 2 + ["ledger_object_set_aside"]
    d.service.move_all("Completed", processed=50)
    d.restart()
    assert d.advance().is_done


def test_a_job_whose_name_says_nothing_is_left_alone(drive: Callable[..., Drive]) -> None:
    """It begins like ours; whose shard it would be cannot be known."""
    d = drive([50])
    for name in (f"{RUN_ID}-by-hand", f"{RUN_ID}-shard-99999-00-a1-01234567"):
        d.service.create({"jobName": name, "clientRequestToken": "t"})
    d.advance()
    assert set(d.controller.tracker.jobs) == {d.name()}


def test_a_job_that_ended_otherwise_than_the_ledger_says_is_corrected(
    drive: Callable[..., Drive],
) -> None:
    """The service is right, and it is a finding."""
    d = drive([50, 50], attempts=1)
    d.advance()
    d.service.move(d.name(0), "Completed")
    d.advance()
    d.service.move(d.name(0), "PartiallyCompleted", processed=7)
    d.advance()
    assert d.statuses() == {"PartiallyCompleted": 1, "Submitted": 1}
    assert findings(d) == ["ledger_disagrees"]


def test_a_settled_job_does_not_run_again(drive: Callable[..., Drive]) -> None:
    """A listing that is late shows it as it was: that is not believed."""
    d = drive([50, 50])
    d.advance()
    d.service.move(d.name(0), "Completed")
    d.advance()
    d.service.move(d.name(0), "InProgress")
    result = d.advance()
    assert (result.settled, result.active) == (1, 1)
    assert findings(d) == []


def test_a_listing_that_lags_makes_no_second_job(drive: Callable[..., Drive]) -> None:
    """A fresh intent that it does not show is asked for again with the same token."""
    d = drive([50] * 3)
    d.service.remembers_tokens = True

    def lose(request: dict[str, Any]) -> None:
        d.service.hidden.add(request["jobName"])
        raise JobStateUnknownError("no reply")

    d.service.after_create = lose
    for _ in range(6):
        d.advance()
        d.restart()
    d.service.after_create = lambda request: None
    d.advance()
    assert d.controller.result().active == 3
    assert d.names() == {d.name(i) for i in range(3)}
    assert {r["clientRequestToken"] for r in d.service.requests} == {
        d.plan(i).token for i in range(3)
    }


def test_a_job_that_is_listed_twice_counts_once(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages may overlap while jobs come and go."""
    d = drive([50, 50])
    listed = FakeBatchJobs.list
    monkeypatch.setattr(FakeBatchJobs, "list", lambda *a, **k: listed(*a, **k) * 2)
    d.advance()
    d.service.move(d.name(0), "Completed", processed=50)
    result = d.advance()
    assert (result.settled, result.active, result.processed) == (1, 1, 50)


def test_a_long_run_lists_only_what_may_have_changed(drive: Callable[..., Drive]) -> None:
    """Since the earliest open job; the next process knows that from the ledger."""
    d = drive([50] * 40, max_active_jobs=2)
    asked: list[float | None] = []
    listed = d.service.list

    def note(name: str, after: float | None = None, status: str | None = None) -> Any:
        asked.append(after)
        return listed(name, after, status)

    d.service.list = note  # type: ignore[assignment]
    for step in range(20):
        d.advance()
        d.service.move_all("Completed", processed=50)
        if step % 5 == 4:
            d.restart()
    assert d.advance().is_done
    assert asked[:2] == [None, None]  # nothing was seen yet
    bounds = [after for after in asked[3:] if after is not None]
    assert len(bounds) == len(asked) - 3
    assert bounds == sorted(bounds)
    assert d.service.time - bounds[-1] < 10
    assert len(d.created()) == 40


def test_what_a_look_saw_before_it_broke_off_is_not_lost(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job's output cannot be read: the others are settled for the next driver, too."""
    d = drive([50, 50])
    d.advance()
    d.service.move_all("Completed", processed=50)
    read = LocalStorage.read_if_present

    def fail(self: LocalStorage, key: str) -> bytes | None:
        if "shard-00001" in key:
            raise StorageError("no reply")
        return read(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "read_if_present", fail)
        with pytest.raises(StorageError):
            d.advance()
    assert d.statuses() == {"Completed": 1, "Submitted": 1}
    d.restart()
    assert d.advance().is_done


def test_one_object_a_step_at_most(drive: Callable[..., Drive]) -> None:
    """None where nothing changed; ARNs go into the next one."""
    d = drive([50] * 6, max_active_jobs=2)
    objects = []
    for step in range(8):
        d.advance()
        objects.append(len(d.run.storage.list(f"{layout.LEDGER}/")))
        if step % 2:
            d.service.move_all("Completed", processed=50)
    assert objects == [1, 1, 2, 2, 3, 3, 4, 4]
    assert d.controller.result().is_done


def test_a_service_that_does_not_answer_is_asked_again_by_the_next_step(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of a week outlives an hour of throttling; after a day of it, it is said."""
    d = drive([50])
    listed = FakeBatchJobs.list

    def throttle(*_: Any, **__: Any) -> Any:
        raise JobThrottledError("slower")

    monkeypatch.setattr(FakeBatchJobs, "list", throttle)
    for _ in range(20):
        assert d.advance().active == 0
    assert d.created() == []  # nothing is submitted unseen
    monkeypatch.setattr(FakeBatchJobs, "list", listed)
    assert d.advance().active == 1
    monkeypatch.setattr(FakeBatchJobs, "list", throttle)
    for _ in range(600):
        d.advance()
    with pytest.raises(JobThrottledError):
        d.advance()


def test_jobs_of_others_are_counted_now_and_then(drive: Callable[..., Drive]) -> None:
    """Not at every step: it takes a call per status. The count is in the ledger for others."""
    d = drive([50] * 10, max_active_jobs=4)
    for i in range(3):
        d.service.create({"jobName": f"other-{i}", "clientRequestToken": str(i)})
    for _ in range(10):
        d.advance()
        d.restart()
    assert (len(d.names()) - 3, d.service.looks) == (1, 1)
    for i in range(3):
        d.service.move(f"other-{i}", "Completed")
    d.clock.time += 3600
    d.advance()
    assert (len(d.names()) - 3, d.service.looks) == (4, 2)
