"""Counting the tasks at work: they join, leave, die, or have a storage that fails."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from bedrock_spark.errors import StorageError
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.shared_limit import (
    LOOK_SECONDS,
    LOOKS_UNTIL_GONE,
    TaskRegistry,
    share_limit,
)
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def test_tasks_see_each_other(storage: LocalStorage, clock: FakeClock) -> None:
    """Each counts itself and every other task that sent a heartbeat."""
    first, second = (TaskRegistry(storage, "r", clock) for _ in range(2))
    assert first.look() == 1
    assert second.look() == 2
    assert first.look() == 2
    second.leave()
    assert first.look() == 1


def test_other_rounds_do_not_count(storage: LocalStorage, clock: FakeClock) -> None:
    """A controller that died may have left tasks of another round."""
    TaskRegistry(storage, "earlier", clock).look()
    assert TaskRegistry(storage, "r", clock).look() == 1


def test_a_task_that_died_counts_until_its_object_did_not_change_for_some_looks(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """The timeout is measured by the clock of the task that looks."""
    alive, dead = (TaskRegistry(storage, "r", clock) for _ in range(2))
    dead.look()
    counted = []
    for _ in range(LOOKS_UNTIL_GONE + 2):
        counted.append(alive.look())
        clock.time += LOOK_SECONDS
    assert counted == [2] * LOOKS_UNTIL_GONE + [1, 1]
    dead.look()  # it was only slow
    assert alive.look() == 2


def test_many_tasks_look_less_often(storage: LocalStorage, clock: FakeClock) -> None:
    """Every look lists all of them: 50 tasks look every five seconds."""
    registries = [TaskRegistry(storage, "r", clock) for _ in range(50)]
    assert registries[0].pause == LOOK_SECONDS
    for registry in registries:
        registry.look()
    assert registries[-1].pause == 5.0


def test_a_task_that_joins_others_waits_until_they_have_seen_it(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Else all of them would exceed the limit for a moment. A task that is alone begins at once."""
    limiter = RateLimiter(clock, 60, None)
    with share_limit(limiter, TaskRegistry(storage, "r", clock), clock):
        assert (limiter.shared_by, clock.waits) == (1, [])
        other = RateLimiter(clock, 60, None)
        with share_limit(other, TaskRegistry(storage, "r", clock), clock):
            assert (other.shared_by, clock.waits) == (2, [LOOK_SECONDS])
        free = RateLimiter(clock, None, None)
        with share_limit(free, TaskRegistry(storage, "r", clock), clock):
            assert clock.waits == [LOOK_SECONDS]
    assert [stored.key for stored in storage.list("tasks/")] == ["tasks/r/ended"]


def test_at_the_beginning_all_tasks_of_the_round_are_expected(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """So none of them waits for the others. A task that begins when others have died waits."""
    first, second, later = (RateLimiter(clock, 60, None) for _ in range(3))
    with share_limit(first, TaskRegistry(storage, "r", clock), clock, 3):
        assert (first.shared_by, clock.waits) == (3, [])
        with share_limit(second, TaskRegistry(storage, "r", clock), clock, 3):
            assert (second.shared_by, clock.waits) == (3, [])
            with share_limit(later, TaskRegistry(storage, "r", clock), clock, 3):
                assert (later.shared_by, clock.waits) == (3, [LOOK_SECONDS])


def test_many_tasks_on_few_cores_begin_with_the_share_of_those_at_work(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """100 tasks on two cores: only the first two expect all 100; each later one waits one pause."""
    slots: list[ExitStack] = []
    shares = []
    for number in range(100):
        if number >= 2:
            slots.pop(0).close()
        limiter = RateLimiter(clock, 60, None)
        slots.append(ExitStack())
        registry = TaskRegistry(storage, "r", clock)
        slots[-1].enter_context(share_limit(limiter, registry, clock, 100))
        shares.append(limiter.shared_by)
    assert shares == [100, 100] + [2] * 98
    assert clock.waits == [LOOK_SECONDS] * 98
    for slot in slots:
        slot.close()
    last = RateLimiter(clock, 60, None)
    with share_limit(last, TaskRegistry(storage, "r", clock), clock, 100):
        assert last.shared_by == 1
    assert len(clock.waits) == 98


def test_late_tasks_that_begin_together_see_each_other(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """The first of them looks again after its pause, in which the second one has begun."""
    TaskRegistry(storage, "r", clock).leave()  # one has ended
    TaskRegistry(storage, "r", clock).look()
    limiter = RateLimiter(clock, 60, None)
    registries = [TaskRegistry(storage, "r", clock) for _ in range(2)]

    class OneMoreBegins(FakeClock):
        def sleep(self, seconds: float) -> None:
            registries[1].look()
            super().sleep(seconds)

    with share_limit(limiter, registries[0], OneMoreBegins(), 100):
        assert limiter.shared_by == 3


class NoDelete(LocalStorage):
    """Storage that fails to delete."""

    def delete(self, keys: Sequence[str]) -> None:
        raise StorageError("not today")


def test_a_task_that_cannot_delete_its_object_ends_without_an_error(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answers are written, and the others notice after the timeout."""
    limiter = RateLimiter(clock, 60, None)
    with share_limit(limiter, TaskRegistry(NoDelete(str(tmp_path)), "r", clock), clock):
        pass
    assert "not today" in caplog.text
