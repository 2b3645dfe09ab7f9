"""Counting the tasks that are at work: joining, leaving, dying, and doing without the storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bedrock_spark.errors import StorageError
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.shared_limit import LOOK_SECONDS, LOOKS_UNTIL_GONE, TaskRegistry, shared
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def test_tasks_see_each_other(storage: LocalStorage, clock: FakeClock) -> None:
    """Each counts itself and whoever else said that it works."""
    first, second = (TaskRegistry(storage, "r", clock) for _ in range(2))
    assert first.look() == 1
    assert second.look() == 2
    assert first.look() == 2
    second.leave()
    assert first.look() == 1


def test_other_rounds_do_not_count(storage: LocalStorage, clock: FakeClock) -> None:
    """What a driver that died left belongs to another round."""
    TaskRegistry(storage, "earlier", clock).look()
    assert TaskRegistry(storage, "r", clock).look() == 1


def test_a_task_that_died_counts_until_it_was_silent_for_some_looks(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Its object does not change; no clock but the own is asked."""
    alive, dead = (TaskRegistry(storage, "r", clock) for _ in range(2))
    dead.look()
    counted = []
    for _ in range(LOOKS_UNTIL_GONE + 2):
        counted.append(alive.look())
        clock.time += LOOK_SECONDS
    assert counted == [2] * LOOKS_UNTIL_GONE + [1, 1]
    dead.look()  # it was only slow
    assert alive.look() == 2


def test_with_many_tasks_looks_are_rarer(storage: LocalStorage, clock: FakeClock) -> None:
    """Every look lists all of them: 50 tasks look every five seconds."""
    registries = [TaskRegistry(storage, "r", clock) for _ in range(50)]
    assert registries[0].pause == LOOK_SECONDS
    for registry in registries:
        registry.look()
    assert registries[-1].pause == 5.0


def test_a_task_that_joins_others_waits_until_they_know(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Else they would all use more than there is for a moment; one that is alone begins at once."""
    limiter = RateLimiter(clock, 60, None)
    with shared(limiter, TaskRegistry(storage, "r", clock), clock):
        assert (limiter.parts, clock.waits) == (1, [])
        other = RateLimiter(clock, 60, None)
        with shared(other, TaskRegistry(storage, "r", clock), clock):
            assert (other.parts, clock.waits) == (2, [LOOK_SECONDS])
        free = RateLimiter(clock, None, None)
        with shared(free, TaskRegistry(storage, "r", clock), clock):
            assert clock.waits == [LOOK_SECONDS]
    assert storage.list("tasks/") == []


def test_at_the_beginning_all_tasks_of_the_round_are_expected(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """So none waits for the others to come; one that comes when others have ended does."""
    first, second, later = (RateLimiter(clock, 60, None) for _ in range(3))
    with shared(first, TaskRegistry(storage, "r", clock), clock, 3):
        assert (first.parts, clock.waits) == (3, [])
        with shared(second, TaskRegistry(storage, "r", clock), clock, 3):
            assert (second.parts, clock.waits) == (3, [])
            with shared(later, TaskRegistry(storage, "r", clock), clock, 3):
                assert (later.parts, clock.waits) == (3, [LOOK_SECONDS])


class Broken(LocalStorage):
    """Storage that lists and deletes nothing."""

    def delete(self, keys: Sequence[str]) -> None:
        raise StorageError("not today")


def test_a_task_that_cannot_say_goodbye_is_done_all_the_same(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answers are written; the others find out."""
    limiter = RateLimiter(clock, 60, None)
    with shared(limiter, TaskRegistry(Broken(str(tmp_path)), "r", clock), clock):
        pass
    assert "not today" in caplog.text
