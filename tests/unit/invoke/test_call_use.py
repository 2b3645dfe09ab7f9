"""What the fallback's tasks have used, as their heartbeats tell it."""

from __future__ import annotations

from pathlib import Path

from bedrock_spark.costs.call_use import CallUse, UseCounter, total_use
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.families.base import Answer
from bedrock_spark.invoke.shared_limit import RoundUse, TaskRegistry
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


def test_heartbeats_tell_what_was_used(tmp_path: Path, clock: FakeClock) -> None:
    """A task that has ended is counted as it was seen last; damaged heartbeats are left out."""
    storage = LocalStorage(str(tmp_path))
    used = {"a": CallUse(), "b": CallUse()}
    tasks = [TaskRegistry(storage, "r", clock, lambda name=name: used[name]) for name in used]  # type: ignore[misc]
    records = RoundUse(storage, "r")
    assert records.so_far() == CallUse()
    for number, task in enumerate(tasks):
        used["ab"[number]] = CallUse(10 * (number + 1), 500, Tokens(400, 100), Tokens(40, 10))
        task.look()
    assert records.so_far() == CallUse(30, 1_000, Tokens(800, 200), Tokens(80, 20))
    used["a"] = CallUse(15)
    tasks[0].look()
    tasks[0].leave()
    assert records.so_far().asked == 30, "it left before anybody looked"
    used["b"] = CallUse(22)
    tasks[1].look()
    storage.write(f"{layout.tasks_prefix('r')}damaged", b"1 x")
    assert records.so_far().asked == 32
    assert RoundUse(storage, "another round").so_far() == CallUse()


def test_with_many_tasks_it_looks_less_often(tmp_path: Path) -> None:
    """Each look reads one object per task."""
    storage = LocalStorage(str(tmp_path))
    records = RoundUse(storage, "r", {str(i): CallUse(1) for i in range(1_000)})
    assert records.pause == 100
    assert RoundUse(storage, "r").pause == 5


def test_answers_are_counted_by_tier() -> None:
    """Also those of a cache, which cost something else, and images."""
    counter = UseCounter()
    counter.add(Answer(input_tokens=9, output_tokens=4, cache_read_tokens=5), 8, is_flex=True)
    counter.add(Answer(images=("aGk=",)), 100, is_flex=False)
    assert counter.use(3) == CallUse(
        3, 108, Tokens(9, 4, 1, cache_read=5), Tokens(9, 4, cache_read=5)
    )
    assert total_use([CallUse(1, 2), CallUse(3, 4)]) == CallUse(4, 6)
