"""Calls that fail or whose reply is lost: a job is looked for before it is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bedrock_spark.errors import JobStateUnknownError, JobThrottledError
from bedrock_spark.fanout import jobs_by_status
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.driving import RUN_ID, Drive


def test_the_intent_is_in_the_ledger_before_the_call(drive: Callable[..., Drive]) -> None:
    """A driver that dies in the call leaves word of what it was about to do."""
    d = drive([50, 50])
    seen: list[dict[str, int]] = []

    def look(_: dict[str, Any]) -> None:
        seen.append(jobs_by_status(Ledger(d.run.storage).replay()))

    d.service.before_create = look
    d.advance()
    assert seen == [{"Unknown": 2}, {"Unknown": 2}]
    assert d.statuses() == {"Submitted": 2}


@pytest.mark.parametrize("error", [JobStateUnknownError("x"), JobThrottledError("x")])
def test_after_a_lost_reply_the_job_is_looked_for_before_it_is_asked_for_again(
    drive: Callable[..., Drive], error: Exception
) -> None:
    """It was created: the next step finds it, and creates nothing."""
    d = drive([50])

    def lose(_: dict[str, Any]) -> None:
        raise error

    d.service.after_create = lose
    assert d.advance().active == 0
    d.service.after_create = lambda request: None
    assert d.advance().active == 1
    assert d.service.calls == [f"list {RUN_ID}", f"create {d.name()}", f"list {RUN_ID}"]
    assert d.statuses() == {"Submitted": 1}


def test_a_call_that_never_arrived_is_made_again_as_the_same_attempt(
    drive: Callable[..., Drive],
) -> None:
    """With the same token, after a look."""
    d = drive([50])

    def fail(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    d.service.before_create = fail
    d.advance()
    d.service.before_create = lambda request: None
    d.advance()
    assert d.created() == [d.name(), d.name()]
    first, second = d.service.requests
    assert first == second
    assert d.names() == {d.name()}


def test_after_trouble_the_step_submits_no_more(drive: Callable[..., Drive]) -> None:
    """A service that does not answer is not asked twenty times in a row."""
    d = drive([50] * 5)

    def fail(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    d.service.before_create = fail
    d.advance()
    assert len(d.created()) == 1


def test_a_job_of_our_name_is_ours(drive: Callable[..., Drive]) -> None:
    """The list was late to show it; it is adopted, not made again under another name."""
    d = drive([50])
    d.service.hidden = {d.name()}

    def lose(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    d.service.after_create = lose
    d.advance()
    assert d.advance().active == 0  # the create says that the name is taken; it cannot be seen
    d.service.hidden = set()
    assert d.advance().active == 1
    assert d.names() == {d.name()}
    assert d.statuses() == {"Submitted": 1}


def test_a_conflict_is_resolved_by_a_look_for_that_name(drive: Callable[..., Drive]) -> None:
    """In the same step."""
    d = drive([50])
    d.service.create(
        {"jobName": d.name(), "clientRequestToken": d.plan().token}
    )  # by a driver of which nothing is known
    d.service.calls.clear()
    d.service.hidden = {d.name()}

    def show(_: dict[str, Any]) -> None:
        d.service.hidden = set()

    d.service.before_create = show
    assert d.advance().active == 1
    assert d.service.calls == [f"list {RUN_ID}", f"create {d.name()}", f"list {d.name()}"]


def test_a_job_that_is_found_settled_is_noted_as_that(drive: Callable[..., Drive]) -> None:
    """The ledger says how an adopted job ended, not that it was submitted."""
    d = drive([50])
    d.service.create({"jobName": d.name(), "clientRequestToken": d.plan().token})
    d.service.move_all("Completed", succeeded=50)
    d.service.hidden = {d.name()}

    def show(_: dict[str, Any]) -> None:
        d.service.hidden = set()

    d.service.before_create = show
    assert d.advance().is_done
    assert d.statuses() == {"Completed": 1}
    d.restart()
    assert d.statuses() == {"Completed": 1}
