"""When a shard gets another attempt, and when nothing more may be submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedrock_spark.errors import JobRejectedError
from bedrock_spark.fanout import watch
from bedrock_spark.progress import Progress
from tests.unit.fake_run import FakeRun


def test_a_running_attempt_is_watched_even_if_attempts_is_lowered(
    fake_run: Callable[..., FakeRun],
) -> None:
    """The user pays for this job, so its end is awaited."""
    fake = fake_run([50], attempts=2)
    fake.advance()
    fake.service.move_all("Expired")
    fake.advance()
    batch = fake.run.config.batch.model_copy(update={"attempts": 1})
    fake.run = replace(fake.run, config=fake.run.config.model_copy(update={"batch": batch}))
    fake.restart()
    assert (fake.advance().is_done, fake.advance().active) == (False, 1)
    fake.service.move(fake.job_name(0, 2), "Completed")
    assert fake.advance().is_done


@pytest.mark.parametrize("status", ["Expired", "Failed", "Stopped"])
def test_a_job_without_output_is_retried_up_to_the_allowed_attempts(
    fake_run: Callable[..., FakeRun], status: str
) -> None:
    """Each attempt has another name, token and output folder."""
    fake = fake_run([50], attempts=3)
    for attempt in (1, 2, 3):
        assert not fake.advance().is_done
        assert fake.job_names() == {fake.job_name(0, a) for a in range(1, attempt + 1)}
        fake.service.move_all(status)
    assert fake.advance().is_done
    assert fake.create_calls() == [fake.job_name(0, a) for a in (1, 2, 3)]
    assert len({r["clientRequestToken"] for r in fake.service.requests}) == 3


@pytest.mark.parametrize("status", ["Completed", "PartiallyCompleted"])
def test_a_completed_job_is_never_repeated(fake_run: Callable[..., FakeRun], status: str) -> None:
    """Even if every record is an error: the fallback asks the unanswered records."""
    fake = fake_run([50], attempts=3)
    fake.advance()
    fake.service.move_all(status, processed=0, succeeded=0, failed=50)
    assert fake.advance().is_done
    assert fake.create_calls() == [fake.job_name()]


@pytest.mark.parametrize(
    ("message", "is_retried"),
    [
        ("Internal error", True),
        (None, True),
        ("contains less records (1) than the required minimum of: 100", False),
    ],
)
def test_a_failed_job_is_retried_if_that_may_help(
    fake_run: Callable[..., FakeRun], message: str | None, is_retried: bool
) -> None:
    """A bad input would fail again, so the fallback asks the records of such a shard."""
    fake = fake_run([50], attempts=2)
    fake.advance()
    fake.service.move_all("Failed", message=message)
    assert fake.advance().is_done is not is_retried
    assert len(fake.create_calls()) == 1 + is_retried


@pytest.mark.parametrize(
    "message",
    [
        "Customer doesn't have permissions to invokeModel",
        "Could not validate GetObject permissions to access S3 bucket",
    ],
)
def test_a_role_without_permissions_holds_the_run(
    fake_run: Callable[..., FakeRun], message: str
) -> None:
    """Until the user runs it again, nothing more is submitted on any machine. Active jobs run on.

    The failed job does not count as an attempt: once the role is corrected, a batch job answers
    these records, not the fallback.
    """
    fake = fake_run([50] * 3, attempts=1, max_active_jobs=2)
    fake.advance()
    fake.service.move(fake.job_name(0), "Failed", message=message)
    result = fake.advance()
    assert (result.active, result.waiting) == (1, 2)
    assert message in str(result.reason)
    assert "batch.role_arn" in str(result.reason)
    fake.restart()
    assert fake.advance().reason == result.reason
    fake.service.move(fake.job_name(1), "Completed", processed=50)
    with pytest.raises(JobRejectedError, match=r"batch\.role_arn"):
        watch(fake.controller)
    assert len(fake.create_calls()) == 2
    fake.restart()
    fake.controller.resume()
    fake.restart()  # the ledger keeps that the run was resumed
    assert fake.advance().reason is None
    assert fake.job_names() == {
        fake.job_name(0),
        fake.job_name(1),
        fake.job_name(2),
        fake.job_name(0, 2),
    }


def test_after_a_rejection_nothing_is_submitted_and_active_jobs_run_on(
    fake_run: Callable[..., FakeRun],
) -> None:
    """When they have ended, the rejection is raised. The next controller submits the rest."""
    fake = fake_run([50] * 3)

    def reject(request: dict[str, Any]) -> None:
        if request["jobName"] == fake.job_name(1):
            raise JobRejectedError("no")

    def settle(_: Progress) -> None:
        fake.service.move_all("Completed")

    fake.service.before_create = reject
    with pytest.raises(JobRejectedError):
        watch(fake.controller, settle)
    assert fake.statuses() == {"Completed": 1, "Unknown": 2}
    fake.service.before_create = lambda request: None
    fake.restart()
    assert fake.advance().active == 2
    assert sorted(fake.job_names()) == [fake.job_name(i) for i in range(3)]
