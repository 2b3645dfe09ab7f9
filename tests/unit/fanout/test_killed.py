"""A driver that dies anywhere: the next one carries on, and no attempt has two jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import ACTIVE, SETTLED
from bedrock_spark.errors import JobStateUnknownError
from bedrock_spark.storage import LocalStorage
from tests.unit.driving import Drive


class Killed(BaseException):
    """The driver is gone, in the middle of a call."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_driver_that_is_killed_in_a_create_leaves_exactly_one_job_per_attempt(
    drive: Callable[..., Drive], when: str, nth: int
) -> None:
    """Whether or not the call had its effect."""
    d = drive([50] * 3)

    def kill(_: dict[str, Any]) -> None:
        if len(d.service.requests) == nth:
            raise Killed

    setattr(d.service, f"{when}_create", kill)
    with pytest.raises(Killed):
        d.advance()
    setattr(d.service, f"{when}_create", lambda request: None)
    d.restart()
    assert d.advance().active == 3
    assert sorted(d.names()) == [d.name(i) for i in range(3)]
    d.service.move_all("Completed")
    assert d.advance().is_done


def test_a_driver_killed_before_its_intent_is_written_has_done_nothing(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write comes first; without it nothing is asked of the service."""
    d = drive([50])

    def kill(self: LocalStorage, key: str, data: bytes) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "create", kill)
        with pytest.raises(Killed):
            d.advance()
    assert d.created() == []
    d.restart()
    assert d.advance().active == 1


STEPS = st.lists(
    st.sampled_from(
        ["advance", "kill before", "kill after", "lose", "no slot", "restart", "settle"]
    ),
    max_size=25,
)


@given(STEPS, st.randoms(use_true_random=False))
def test_whatever_happens_no_attempt_has_two_jobs_and_all_ends(
    tmp_path_factory: Any, steps: list[str], random: Any
) -> None:
    """Kills, lost replies, full accounts and every way to end, in any order; then calm."""
    d = Drive(tmp_path_factory.mktemp("run"), [50, 9, 70, 80], attempts=2, max_active_jobs=2)

    def fail(error: BaseException) -> Callable[[dict[str, Any]], None]:
        def hook(_: dict[str, Any]) -> None:
            raise error

        return hook

    calm: Callable[[dict[str, Any]], None] = lambda request: None  # noqa: E731
    for step in steps:
        d.service.before_create = fail(Killed()) if step == "kill before" else calm
        d.service.after_create = (
            fail(Killed())
            if step == "kill after"
            else fail(JobStateUnknownError("x"))
            if step == "lose"
            else calm
        )
        d.service.slots = 1 if step == "no slot" else 10
        if step == "settle":
            for name, job in list(d.service.jobs.items()):
                if not job.is_settled and random.random() < 0.5:
                    status = random.choice(sorted(SETTLED | ACTIVE))
                    d.service.move(name, status, processed=random.choice([0, 5]))
        elif step == "restart":
            d.restart()
        else:
            try:
                d.advance()
            except Killed:
                d.restart()
    d.service.before_create = d.service.after_create = calm
    d.service.slots = 10
    for _ in range(60):
        d.service.move_all("Completed", processed=1)
        d.clock.time += 3600
        if d.advance().is_done:
            break
    assert d.advance().is_done
    for shard in (0, 2, 3):
        own = [d.name(shard, a) for a in (1, 2) if d.name(shard, a) in d.names()]
        assert own[0] == d.name(shard, 1)
        first = d.service.jobs[own[0]]
        if len(own) == 2:
            assert first.status in ("Failed", "Expired", "Stopped")
    assert not {d.name(1, 1), d.name(1, 2)} & d.names()
    taken = Counter(d.created())
    assert d.names() <= taken.keys()
