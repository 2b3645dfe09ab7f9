"""Another attempt at a shard: when there is one, and when nothing more may be submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedrock_spark.errors import JobRejectedError
from bedrock_spark.fanout import watch
from bedrock_spark.progress import Progress
from tests.unit.driving import Drive


def test_an_attempt_that_runs_is_waited_for_though_no_more_are_allowed(
    drive: Callable[..., Drive],
) -> None:
    """Lowering `attempts` abandons no job that is being paid for."""
    d = drive([50], attempts=2)
    d.advance()
    d.service.move_all("Expired")
    d.advance()
    batch = d.run.config.batch.model_copy(update={"attempts": 1})
    d.run = replace(d.run, config=d.run.config.model_copy(update={"batch": batch}))
    d.restart()
    assert (d.advance().is_done, d.advance().active) == (False, 1)
    d.service.move(d.name(0, 2), "Completed")
    assert d.advance().is_done


@pytest.mark.parametrize("status", ["Expired", "Failed", "Stopped"])
def test_a_job_that_left_nothing_is_tried_again_up_to_its_attempts(
    drive: Callable[..., Drive], status: str
) -> None:
    """As another attempt: another name, token and place."""
    d = drive([50], attempts=3)
    for attempt in (1, 2, 3):
        assert not d.advance().is_done
        assert d.names() == {d.name(0, a) for a in range(1, attempt + 1)}
        d.service.move_all(status)
    assert d.advance().is_done
    assert d.created() == [d.name(0, a) for a in (1, 2, 3)]
    assert len({r["clientRequestToken"] for r in d.service.requests}) == 3


@pytest.mark.parametrize("status", ["Completed", "PartiallyCompleted"])
def test_a_job_that_ended_is_never_repeated(drive: Callable[..., Drive], status: str) -> None:
    """Even with every record an error: what it left out goes to the fallback."""
    d = drive([50], attempts=3)
    d.advance()
    d.service.move_all(status, processed=0, succeeded=0, failed=50)
    assert d.advance().is_done
    assert d.created() == [d.name()]


@pytest.mark.parametrize(
    ("message", "again"),
    [
        ("Internal error", True),
        (None, True),
        ("contains less records (1) than the required minimum of: 100", False),
    ],
)
def test_a_failed_job_is_submitted_again_where_that_may_help(
    drive: Callable[..., Drive], message: str | None, again: bool
) -> None:
    """The same bytes would fail for the same reason: then the shard is the fallback's."""
    d = drive([50], attempts=2)
    d.advance()
    d.service.move_all("Failed", message=message)
    assert d.advance().is_done is not again
    assert len(d.created()) == 1 + again


@pytest.mark.parametrize(
    "message",
    [
        "Customer doesn't have permissions to invokeModel",
        "Could not validate GetObject permissions to access S3 bucket",
    ],
)
def test_a_role_that_fails_every_job_holds_the_run(
    drive: Callable[..., Drive], message: str
) -> None:
    """On any machine nothing more is submitted until somebody runs it again; what runs goes on.

    The failed job was no attempt: the fallback is not asked for what a mended role would answer.
    """
    d = drive([50] * 3, attempts=1, max_active_jobs=2)
    d.advance()
    d.service.move(d.name(0), "Failed", message=message)
    result = d.advance()
    assert (result.active, result.waiting) == (1, 2)
    assert message in str(result.reason)
    assert "batch.role_arn" in str(result.reason)
    d.restart()
    assert d.advance().reason == result.reason
    d.service.move(d.name(1), "Completed", processed=50)
    with pytest.raises(JobRejectedError, match=r"batch\.role_arn"):
        watch(d.controller)
    assert len(d.created()) == 2
    d.restart()
    d.controller.resume()
    d.restart()  # resumed for good
    assert d.advance().reason is None
    assert d.names() == {d.name(0), d.name(1), d.name(2), d.name(0, 2)}


def test_after_a_rejection_nothing_is_submitted_and_what_runs_goes_on(
    drive: Callable[..., Drive],
) -> None:
    """To its end; then the service's message is raised. Once it is mended, the rest follows."""
    d = drive([50] * 3)

    def reject(request: dict[str, Any]) -> None:
        if request["jobName"] == d.name(1):
            raise JobRejectedError("no")

    def settle(_: Progress) -> None:
        d.service.move_all("Completed")

    d.service.before_create = reject
    with pytest.raises(JobRejectedError):
        watch(d.controller, settle)
    assert d.statuses() == {"Completed": 1, "Unknown": 2}
    d.service.before_create = lambda request: None
    d.restart()
    assert d.advance().active == 2
    assert sorted(d.names()) == [d.name(i) for i in range(3)]
