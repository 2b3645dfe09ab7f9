"""The records that the fallback's tasks have asked, as their heartbeats tell them."""

from __future__ import annotations

from pathlib import Path

from bedrock_spark.invoke.shared_limit import AskedRecords, TaskRegistry
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


def test_heartbeats_tell_how_many_records_were_asked(tmp_path: Path, clock: FakeClock) -> None:
    """A task that has ended is counted as it was seen last; damaged heartbeats are left out."""
    storage = LocalStorage(str(tmp_path))
    asked = {"a": 0, "b": 0}
    tasks = [TaskRegistry(storage, "r", clock, lambda name=name: asked[name]) for name in asked]  # type: ignore[misc]
    records = AskedRecords(storage, "r")
    assert records.count() == 0
    for number, task in enumerate(tasks):
        asked["ab"[number]] = 10 * (number + 1)
        task.look()
    assert records.count() == 30
    asked["a"] = 15
    tasks[0].look()
    tasks[0].leave()
    assert records.count() == 30, "it left before anybody looked"
    asked["b"] = 22
    tasks[1].look()
    storage.write(f"{layout.tasks_prefix('r')}damaged", b"1 x")
    assert records.count() == 32
    assert AskedRecords(storage, "another round").count() == 0


def test_with_many_tasks_it_looks_less_often(tmp_path: Path) -> None:
    """Each look reads one object per task."""
    records = AskedRecords(LocalStorage(str(tmp_path)), "r", {str(i): 1 for i in range(1_000)})
    assert records.pause == 100
    assert AskedRecords(LocalStorage(str(tmp_path)), "r").pause == 5
