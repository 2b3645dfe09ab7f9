"""Create calls that fail or whose reply is lost: the job is looked up before the next call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bedrock_spark.errors import JobStateUnknownError, JobThrottledError, StorageError
from bedrock_spark.fanout import jobs_by_status
from bedrock_spark.fanout.scheduler import AllowAll
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.ledger import Job, Ledger
from tests.unit.fake_run import RUN_ID, FakeRun


def test_the_intent_is_in_the_ledger_before_the_call(fake_run: Callable[..., FakeRun]) -> None:
    """If the controller is killed in the call, the next one knows about the job."""
    fake = fake_run([50, 50])
    statuses: list[dict[str, int]] = []

    def look(_: dict[str, Any]) -> None:
        statuses.append(jobs_by_status(Ledger(fake.run.storage).replay()))

    fake.service.before_create = look
    fake.advance()
    assert statuses == [{"Unknown": 2}, {"Unknown": 2}]
    assert fake.statuses() == {"Submitted": 2}


@pytest.mark.parametrize("error", [JobStateUnknownError("x"), JobThrottledError("x")])
def test_after_a_lost_reply_the_job_is_looked_up_first(
    fake_run: Callable[..., FakeRun], error: Exception
) -> None:
    """The job exists: the next step finds it, and creates nothing."""
    fake = fake_run([50])

    def lose(_: dict[str, Any]) -> None:
        raise error

    fake.service.after_create = lose
    assert fake.advance().active == 0
    fake.service.after_create = lambda request: None
    assert fake.advance().active == 1
    assert fake.service.calls == [f"list {RUN_ID}", f"create {fake.job_name()}", f"list {RUN_ID}"]
    assert fake.statuses() == {"Submitted": 1}


def test_a_call_that_did_not_arrive_is_repeated_for_the_same_attempt(
    fake_run: Callable[..., FakeRun],
) -> None:
    """After a listing, with the same request and token."""
    fake = fake_run([50])

    def fail(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    fake.service.before_create = fail
    fake.advance()
    fake.service.before_create = lambda request: None
    fake.advance()
    assert fake.create_calls() == [fake.job_name(), fake.job_name()]
    first, second = fake.service.requests
    assert first == second
    assert fake.job_names() == {fake.job_name()}


def test_a_call_without_a_reply_ends_the_step(fake_run: Callable[..., FakeRun]) -> None:
    """The other shards are not tried at a service that does not answer."""
    fake = fake_run([50] * 5)

    def fail(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    fake.service.before_create = fail
    fake.advance()
    assert len(fake.create_calls()) == 1


def test_a_job_with_the_name_of_an_attempt_is_adopted(fake_run: Callable[..., FakeRun]) -> None:
    """The listing does not show it at first. No second job is created under another name."""
    fake = fake_run([50])
    fake.service.hidden = {fake.job_name()}

    def lose(_: dict[str, Any]) -> None:
        raise JobStateUnknownError("x")

    fake.service.after_create = lose
    fake.advance()
    assert (
        fake.advance().active == 0
    )  # create says that the name is in use, and no listing shows the job
    fake.service.hidden = set()
    assert fake.advance().active == 1
    assert fake.job_names() == {fake.job_name()}
    assert fake.statuses() == {"Submitted": 1}


def test_a_name_in_use_is_looked_up(fake_run: Callable[..., FakeRun]) -> None:
    """In the same step; the job is adopted."""
    fake = fake_run([50])
    # Another controller created it and died before the ledger had it.
    fake.service.create({"jobName": fake.job_name(), "clientRequestToken": fake.plan().token})
    fake.service.calls.clear()
    fake.service.hidden = {fake.job_name()}

    def show(_: dict[str, Any]) -> None:
        fake.service.hidden = set()

    fake.service.before_create = show
    assert fake.advance().active == 1
    assert fake.service.calls == [
        f"list {RUN_ID}",
        f"create {fake.job_name()}",
        f"list {fake.job_name()}",
    ]


def test_a_job_that_is_found_settled_is_noted_as_settled(fake_run: Callable[..., FakeRun]) -> None:
    """The ledger notes how an adopted job ended, not that it was submitted."""
    fake = fake_run([50])
    fake.service.create({"jobName": fake.job_name(), "clientRequestToken": fake.plan().token})
    fake.service.move_all("Completed", succeeded=50)
    fake.service.hidden = {fake.job_name()}

    def show(_: dict[str, Any]) -> None:
        fake.service.hidden = set()

    fake.service.before_create = show
    assert fake.advance().is_done
    assert fake.statuses() == {"Completed": 1}
    fake.restart()
    assert fake.statuses() == {"Completed": 1}


def test_a_shard_of_a_step_that_ended_in_an_error_is_chosen_again(
    fake_run: Callable[..., FakeRun],
) -> None:
    """By the same process: the shard was taken from the queue, and its job was not announced."""

    class Failing(AllowAll):
        fails = True

        def allows(self, plan: JobPlan, records: int, jobs: Mapping[str, Job]) -> str | None:
            if self.fails:
                raise StorageError("no prices")
            return None

    fake, policy = fake_run([50] * 3), Failing()
    fake.restart(policy)
    for _ in range(2):
        with pytest.raises(StorageError):
            fake.advance()
    assert fake.create_calls() == []
    policy.fails = False
    assert fake.advance().active == 3
