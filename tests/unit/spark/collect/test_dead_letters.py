"""Dead letters: the rows of a shard without an answer, in a file beside its results."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.config import ResultsConfig
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.collect.dead_letters import DeadLetters
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard

ANSWER = b'{"recordId":"%b","modelOutput":{"content":[{"type":"text","text":"yes"}]}}\n'
ERROR = b'{"recordId":"%b","error":{"errorCode":%d,"errorMessage":"no"}}\n'
FALLBACK_KEY = f"fallback/{SHARD}/1.jsonl.out"


def dead_letters(folder: Path) -> list[dict[str, Any]] | None:
    """Return the rows of the dead letter file; None if there is no file."""
    data = LocalStorage(str(folder)).read_if_present(layout.deadletters_key(SHARD))
    return None if data is None else pq.read_table(io.BytesIO(data)).to_pylist()


def test_a_dead_letter_has_its_row_and_outcome(tmp_path: Path) -> None:
    """The source's columns come first; columns of an answer are left out."""
    lines = ANSWER % b"a" + ERROR % (b"b", 500)
    reconciled, _ = collect_shard(str(tmp_path), "abc", {LINES_KEY: lines})
    rows = dead_letters(tmp_path)
    assert rows is not None
    assert [(r["n"], r["record_id"], r["outcome"], r["error_code"]) for r in rows] == [
        (1, "b", "error", 500),
        (2, "c", "missing", None),
    ]
    assert [*rows[0]] == [
        *("n", "record_id", "outcome", "error_code", "error_message"),
        *("served_by", "attempt", "job_arn"),
    ]
    assert reconciled.unanswered == reconciled.unanswered_records == 2


def test_invalid_answers_are_dead_letters(tmp_path: Path) -> None:
    """They have the reason; the columns of `results.parse` are left out."""
    parse = {"columns": "label string"}
    collect_shard(str(tmp_path), "a", {LINES_KEY: ANSWER % b"a"}, parse=parse)
    rows = dead_letters(tmp_path)
    assert rows is not None
    assert [(r["outcome"], r["error_message"]) for r in rows] == [
        ("invalid", "the answer holds no JSON object")
    ]
    assert "label" not in rows[0]


def test_the_file_is_deleted_once_all_rows_are_answered(tmp_path: Path) -> None:
    """Also a file of a collect that was killed before it wrote its reconciliation."""
    collect_shard(str(tmp_path), "ab", {LINES_KEY: ANSWER % b"a"})
    assert dead_letters(tmp_path) is not None
    collect_shard(str(tmp_path), "ab", {FALLBACK_KEY: ANSWER % b"b"})
    assert dead_letters(tmp_path) is None
    storage = LocalStorage(str(tmp_path))
    storage.write(layout.deadletters_key(SHARD), b"left behind")
    storage.delete([layout.reconciliation_key(SHARD)])
    collect_shard(str(tmp_path), "ab", {})
    assert dead_letters(tmp_path) is None


@pytest.mark.parametrize("rows", [1, 2_001, 4_500])
def test_all_dead_letters_of_a_large_shard_are_written(tmp_path: Path, rows: int) -> None:
    """Results are written in pieces of 2,000 rows; the dead letters of every piece are kept."""
    ids = [f"{n:011d}" for n in range(rows)]
    files = {LINES_KEY: json.dumps({"recordId": "other"}).encode() + b"\n"}
    collect_shard(str(tmp_path), ids, files)
    letters = dead_letters(tmp_path)
    assert letters is not None
    assert [row["record_id"] for row in letters] == ids


def test_memory_holds_one_row_group_of_dead_letters(tmp_path: Path) -> None:
    """A shard of large rows without any answer: its dead letters are written as they come."""
    storage = LocalStorage(str(tmp_path))
    columns = result_columns_of(ResultsConfig())
    schema = pa.schema([("body", pa.string()), *columns.arrow()])
    text = "x" * 1_000_000
    before = pa.total_allocated_bytes()
    held = 0
    with DeadLetters(columns, storage, SHARD, may_exist=False) as dead:
        for _ in range(60):
            row = {**dict.fromkeys(schema.names), "body": text, "outcome": "error"}
            dead.copy_from(pa.RecordBatch.from_pylist([row], schema))
            held = max(held, pa.total_allocated_bytes() - before)
        dead.commit()
        assert dead.rows == 60
    assert held < 40_000_000
    assert len(dead_letters(tmp_path) or ()) == 60


def test_dead_letters_that_are_not_committed_leave_no_file(tmp_path: Path) -> None:
    columns = result_columns_of(ResultsConfig())
    schema = pa.schema(columns.arrow())
    row = {**dict.fromkeys(schema.names), "outcome": "error"}
    with DeadLetters(columns, LocalStorage(str(tmp_path)), SHARD, may_exist=False) as dead:
        dead.copy_from(pa.RecordBatch.from_pylist([row], schema))
    assert dead_letters(tmp_path) is None
