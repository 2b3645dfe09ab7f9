"""A controller may be killed anywhere: the next one carries on, and no attempt gets two jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import ACTIVE, SETTLED
from bedrock_spark.errors import JobStateUnknownError
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import FakeRun


class Killed(BaseException):
    """The controller's process is killed in the middle of a call."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_after_a_kill_in_a_create_call_every_attempt_gets_one_job(
    fake_run: Callable[..., FakeRun], when: str, nth: int
) -> None:
    """Whether the kill comes before or after the job is created."""
    fake = fake_run([50] * 3)

    def kill(_: dict[str, Any]) -> None:
        if len(fake.service.requests) == nth:
            raise Killed

    setattr(fake.service, f"{when}_create", kill)
    with pytest.raises(Killed):
        fake.advance()
    setattr(fake.service, f"{when}_create", lambda request: None)
    fake.restart()
    assert fake.advance().active == 3
    assert sorted(fake.job_names()) == [fake.job_name(i) for i in range(3)]
    fake.service.move_all("Completed")
    assert fake.advance().is_done


def test_a_controller_killed_before_its_intent_is_written_created_no_job(
    fake_run: Callable[..., FakeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is written before the create call (write-ahead)."""
    fake = fake_run([50])

    def kill(self: LocalStorage, key: str, data: bytes) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "create", kill)
        with pytest.raises(Killed):
            fake.advance()
    assert fake.create_calls() == []
    fake.restart()
    assert fake.advance().active == 1


STEPS = st.lists(
    st.sampled_from(
        ["advance", "kill before", "kill after", "lose", "no slot", "restart", "settle"]
    ),
    max_size=25,
)


@given(STEPS, st.randoms(use_true_random=False))
def test_no_attempt_has_two_jobs_and_the_run_ends_whatever_happens(
    tmp_path_factory: Any, steps: list[str], random: Any
) -> None:
    """Kills, lost replies, full accounts and all final states in any order; then calls succeed."""
    fake = FakeRun(tmp_path_factory.mktemp("run"), [50, 9, 70, 80], attempts=2, max_active_jobs=2)

    def fail(error: BaseException) -> Callable[[dict[str, Any]], None]:
        def hook(_: dict[str, Any]) -> None:
            raise error

        return hook

    succeed: Callable[[dict[str, Any]], None] = lambda request: None  # noqa: E731
    for step in steps:
        fake.service.before_create = fail(Killed()) if step == "kill before" else succeed
        fake.service.after_create = (
            fail(Killed())
            if step == "kill after"
            else fail(JobStateUnknownError("x"))
            if step == "lose"
            else succeed
        )
        fake.service.slots = 1 if step == "no slot" else 10
        if step == "settle":
            for name, job in list(fake.service.jobs.items()):
                if not job.is_settled and random.random() < 0.5:
                    status = random.choice(sorted(SETTLED | ACTIVE))
                    fake.service.move(name, status, processed=random.choice([0, 5]))
        elif step == "restart":
            fake.restart()
        else:
            try:
                fake.advance()
            except Killed:
                fake.restart()
    fake.service.before_create = fake.service.after_create = succeed
    fake.service.slots = 10
    for _ in range(60):
        fake.service.move_all("Completed", processed=1)
        fake.clock.time += 3600
        fake.controller.resume()  # jobs without an answer may hold the run
        if fake.advance().is_done:
            break
    assert fake.advance().is_done
    for shard in (0, 2, 3):
        own = [
            fake.job_name(shard, a) for a in (1, 2) if fake.job_name(shard, a) in fake.job_names()
        ]
        assert own[0] == fake.job_name(shard, 1)
        first = fake.service.jobs[own[0]]
        if len(own) == 2:
            assert first.status in ("Failed", "Expired", "Stopped")
    assert not {fake.job_name(1, 1), fake.job_name(1, 2)} & fake.job_names()
    assert fake.job_names() <= set(fake.create_calls())
