"""Rows that were asked and have no answer: a file beside the results, as long as there are any."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bedrock_spark.run_folder import layout
from bedrock_spark.storage import LocalStorage
from tests.unit.collecting import LINES, SHARD, collect_in

ANSWER = b'{"recordId":"%b","modelOutput":{"content":[{"type":"text","text":"yes"}]}}\n'
ERROR = b'{"recordId":"%b","error":{"errorCode":%d,"errorMessage":"no"}}\n'
LATER = f"fallback/{SHARD}/1.jsonl.out"


def dead(folder: Path) -> list[dict[str, Any]] | None:
    data = LocalStorage(str(folder)).read_if_present(layout.deadletters_key(SHARD))
    return None if data is None else pq.read_table(io.BytesIO(data)).to_pylist()


def test_they_have_the_row_and_what_became_of_it(tmp_path: Path) -> None:
    """The source's columns first; nothing of an answer, for there is none."""
    found, _ = collect_in(str(tmp_path), "abc", {LINES: ANSWER % b"a" + ERROR % (b"b", 500)})
    rows = dead(tmp_path)
    assert rows is not None
    assert [(r["n"], r["record_id"], r["outcome"], r["error_code"]) for r in rows] == [
        (1, "b", "error", 500),
        (2, "c", "missing", None),
    ]
    assert [*rows[0]] == [
        *("n", "record_id", "outcome", "error_code", "error_message"),
        *("served_by", "attempt", "job_arn"),
    ]
    assert found["unanswered"] == found["unanswered_records"] == 2


def test_answers_that_do_not_fit_are_among_them(tmp_path: Path) -> None:
    """With the reason; the columns they were to be read as are left out."""
    collect_in(str(tmp_path), "a", {LINES: ANSWER % b"a"}, parse={"columns": "label string"})
    rows = dead(tmp_path)
    assert rows is not None
    assert [(r["outcome"], r["error_message"]) for r in rows] == [
        ("invalid", "the answer holds no JSON object")
    ]
    assert "label" not in rows[0]


def test_once_all_are_answered_there_is_no_file(tmp_path: Path) -> None:
    """Nor is one left of a collect that died before it had written what it found."""
    collect_in(str(tmp_path), "ab", {LINES: ANSWER % b"a"})
    assert dead(tmp_path) is not None
    collect_in(str(tmp_path), "ab", {LATER: ANSWER % b"b"})
    assert dead(tmp_path) is None
    storage = LocalStorage(str(tmp_path))
    storage.write(layout.deadletters_key(SHARD), b"left behind")
    storage.delete([layout.reconciliation_key(SHARD)])
    collect_in(str(tmp_path), "ab", {})
    assert dead(tmp_path) is None


@pytest.mark.parametrize("rows", [1, 2_001, 4_500])
def test_all_of_a_large_shard_are_there(tmp_path: Path, rows: int) -> None:
    """Results are written piece by piece; no piece is forgotten."""
    ids = [f"{n:011d}" for n in range(rows)]
    collect_in(str(tmp_path), ids, {LINES: json.dumps({"recordId": "other"}).encode() + b"\n"})
    found = dead(tmp_path)
    assert found is not None
    assert [r["record_id"] for r in found] == ids
