"""A shard that was collected again adds only the answers that the store has not got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.answers.compact import compact
from bedrock_spark.answers.store import pin_files
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.spark.keep.task import WriteTask
from bedrock_spark.storage import LocalStorage
from tests.unit.answers.rows import answer, store_at, write
from tests.unit.fakes import FakeClock


def rows(*each: dict[str, Any]) -> pa.RecordBatch:
    ordered = sorted(each, key=lambda row: (row["body_hash"], row["request_digest"]))
    return pa.RecordBatch.from_pylist(ordered, SCHEMA)


def own(body: str, at: float, outcome: str = "ok", run_id: str = "run-1") -> dict[str, Any]:
    """Return an answer of a run, with a record of its own."""
    return {**answer(body, at=at, outcome=outcome), "run_id": run_id, "record_id": f"{body:0>11}"}


def keep(store: LocalStorage, label: str, *batches: pa.RecordBatch) -> list[int]:
    """Write rows as a repeated keep does; return the number of answers of each file."""
    earlier = pin_files(store)
    task = WriteTask(store, 1, 5.0, f"run-1-{label}", "run-1", earlier)
    return [n for batch in task(iter(batches)) for n in batch.column(0).to_pylist()]


def test_only_new_answers_are_added(tmp_path: Path) -> None:
    """New are those of another time or outcome, and those that only another run has given."""
    store = store_at(tmp_path)
    write(store, [own("a", 1), own("b", 1), own("c", 1, run_id="run-2")])
    first = rows(own("a", 1), own("b", 2), own("c", 1))
    assert keep(store, "again", first) == [2]
    assert keep(store, "more", rows(own("a", 1, "truncated"), own("b", 2))) == [1]
    assert keep(store, "last", first, rows(own("a", 1, "truncated"))) == []
    compact(store, FakeClock(9.0))
    assert keep(store, "merged", rows(own("b", 2))) == []
    found = pa.concat_tables([pq.read_table(tmp_path / "store" / f.key) for f in pin_files(store)])
    assert found.num_rows == len({(r["body_hash"], r["outcome"]) for r in found.to_pylist()})


def test_answers_of_two_batches_are_found_in_any_of_them(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    bodies = sorted("abcdef", key=lambda body: answer(body)["body_hash"])
    write(store, [own(body, 1) for body in bodies[::2]])
    batches = [rows(*(own(body, 1) for body in bodies[i : i + 2])) for i in (0, 2, 4)]
    assert keep(store, "again", *batches) == [3]
