"""The fan-out: every shard is answered once, in as many steps as it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedrock_spark.errors import ConfigError, JobStateUnknownError
from bedrock_spark.fanout import StepResult, jobs_by_status, open_controller, progress_of, watch
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.driving import RUN_ID, Drive
from tests.unit.fakes import make_config


def test_every_shard_gets_one_job_and_then_all_is_done(drive: Callable[..., Drive]) -> None:
    """And a step after the end does nothing."""
    d = drive([50, 60, 70])
    assert d.advance() == StepResult(3, 0, 3, 0, 180, 0)
    d.service.move_all("InProgress", processed=10)
    assert d.advance() == StepResult(3, 0, 3, 0, 180, 30)
    d.service.move_all("Completed", processed=50)
    done = d.advance()
    assert (done.is_done, done.settled, done.processed) == (True, 3, 150)
    assert d.advance() == done
    assert d.created() == [d.name(0), d.name(1), d.name(2)]
    assert d.statuses() == {"Completed": 3}


def test_no_more_jobs_than_slots(drive: Callable[..., Drive]) -> None:
    """As one ends, the next begins."""
    d = drive([50] * 5, max_active_jobs=2)
    for settled, active in ((0, 2), (2, 2), (4, 1), (5, 0)):
        result = d.advance()
        assert (result.settled, result.active) == (settled, active)
        assert result.waiting == 5 - settled - active
        d.service.move_all("Completed")
    assert len(d.created()) == 5


def test_a_small_shard_is_never_submitted(drive: Callable[..., Drive]) -> None:
    """The service refuses it; it is the fallback's, and nobody waits for it."""
    d = drive([9, 10, 3])
    d.advance()
    d.service.move_all("Completed")
    result = d.advance()
    assert (result.is_done, result.shards, result.records) == (True, 1, 10)
    assert d.names() == {d.name(1)}
    assert d.advance().is_done


def test_nothing_to_submit_is_done_at_once(drive: Callable[..., Drive]) -> None:
    """A run of small shards only."""
    d = drive([1, 2])
    assert d.advance().is_done
    assert d.created() == []


def test_no_free_slot_uses_up_no_attempt(drive: Callable[..., Drive]) -> None:
    """The shard waits, as attempt 1, until the account has room."""
    d = drive([50] * 3, slots=1, attempts=1)
    for _ in range(30):
        if d.advance().is_done:
            break
        d.service.move_all("Completed", processed=50)
        d.clock.time += 60
    assert d.names() == {d.name(i) for i in range(3)}
    assert len(d.created()) > 3
    assert d.statuses() == {"Completed": 3}


def test_a_refusal_for_want_of_a_slot_is_learnt_from(drive: Callable[..., Drive]) -> None:
    """The account's cap is not run into at every step; and it is tried again in time."""
    d = drive([50] * 30, slots=2, max_active_jobs=6)
    for _ in range(5):
        d.advance()
    refused = len(d.created()) - 2
    assert refused == 2  # once, and once more at the next step: it may have been a moment's trouble
    d.service.slots = 6
    for _ in range(20):
        d.service.move_all("Completed")
        d.advance()
    assert d.advance().is_done
    assert len(d.created()) == 30 + refused


def test_a_status_that_is_not_known_is_waited_for(drive: Callable[..., Drive]) -> None:
    """It is not over, so nothing is submitted in its place."""
    d = drive([50])
    d.advance()
    d.service.move_all("Pondering")
    assert not d.advance().is_done
    assert d.created() == [d.name()]


def test_jobs_of_other_runs_are_left_alone(drive: Callable[..., Drive]) -> None:
    """The account has others; even one whose name holds ours."""
    d = drive([50])
    d.service.create(
        {"jobName": f"x-{RUN_ID}-shard-00000-00-a1-00000000", "clientRequestToken": "t"}
    )
    d.advance()
    assert list(Ledger(d.run.storage).replay()) == [d.name()]


def test_watching_pauses_between_steps_and_tells_how_far_it_is(drive: Callable[..., Drive]) -> None:
    """A pause of poll_seconds, give or take a fifth, on the run's clock; none after the end."""
    d = drive([50, 50], poll_seconds=100)
    told: list[str] = []

    def observe(progress: Any) -> None:
        told.append(f"{progress.done}/{progress.total}")
        if len(told) == 3:
            d.service.move_all("Completed")

    assert watch(d.controller, observe).is_done
    assert told == ["0/2", "0/2", "0/2", "2/2"]
    assert len(d.clock.waits) == 3
    assert all(80 <= w <= 120 for w in d.clock.waits)


def test_progress_in_words() -> None:
    """What the line on the screen says."""
    progress = progress_of(StepResult(5, 2, 2, 1, 250_000, 123_456))
    assert (progress.stage, progress.done, progress.total) == ("batch", 2, 5)
    said = "shards settled, 2 active, 1 waiting, 123,456 of 250,000 records processed"
    assert progress.detail == said


def test_a_local_run_folder_has_no_batch_jobs(drive: Callable[..., Drive]) -> None:
    """Bedrock reads S3 only; said before anything is submitted."""
    d = drive([50])
    with pytest.raises(ConfigError, match=r"^run_uri = .*: Bedrock reads and writes S3 only"):
        open_controller(d.run, d.manifest, d.clock)


def test_a_changed_number_of_slots_takes_effect(drive: Callable[..., Drive]) -> None:
    """The config of a run may change between two calls."""
    d = drive([50] * 4, max_active_jobs=1)
    assert d.advance().active == 1
    d.run = replace(d.run, config=make_config(batch={"max_active_jobs": 3}))
    d.restart()
    assert d.advance().active == 3


def test_jobs_are_counted_by_status(drive: Callable[..., Drive]) -> None:
    """For the report; one of which no reply came is unknown."""
    d = drive([50, 50, 50])

    def lose(request: dict[str, Any]) -> None:
        if request["jobName"] == d.name(2):
            raise JobStateUnknownError("x")

    d.service.before_create = lose
    d.advance()
    d.service.move(d.name(0), "Completed")
    d.service.before_create = lose
    d.advance()
    assert d.statuses() == {"Completed": 1, "Submitted": 1, "Unknown": 1}
    assert jobs_by_status([]) == {}
