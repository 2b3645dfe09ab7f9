"""CollectTask: when a shard that has a reconciliation is collected again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.collect import task as task_module
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import LINES_KEY, SHARD, collect_shard

FILES = {
    LINES_KEY: b'{"recordId":"a","modelOutput":{"content":[{"type":"text","text":"yes"}]}}\n'
    b"not json\n"
}
# No file is written again: the inputs, and so the fingerprint, stay the same.
UNCHANGED: dict[str, bytes] = {}


@pytest.mark.parametrize(
    "older",
    [
        {"findings": [{"kind": "bad_line", "count": 1}]},
        {"jobs": {"job1": {"attempt": 1}}},
        {"unanswered_ids": None},
    ],
)
def test_a_shard_with_a_reconciliation_of_an_older_format_is_collected_again(
    tmp_path: Path, older: dict[str, Any]
) -> None:
    """Even if its fingerprint is the current one: results and reconciliation are replaced."""
    storage = LocalStorage(str(tmp_path))
    reconciled, rows = collect_shard(str(tmp_path), "ab", FILES)
    current = read_reconciled(storage, SHARD)
    key = layout.reconciliation_key(SHARD)
    storage.write(key, json.dumps(json.loads(current.to_json()) | older).encode())
    storage.write(layout.results_key(SHARD), b"results of an older format")
    again, rows_again = collect_shard(str(tmp_path), "ab", UNCHANGED)
    # The files are new ones, with the same rows.
    assert (replace(again, files=reconciled.files), rows_again) == (reconciled, rows)
    assert read_reconciled(storage, SHARD) == replace(current, files=again.files)


def test_a_shard_is_collected_again_if_the_number_of_the_format_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reconciliation of another number has another fingerprint, although it can be read."""
    storage = LocalStorage(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(task_module, "_FORMAT", task_module._FORMAT - 1)
        older, rows = collect_shard(str(tmp_path), "ab", FILES)
    storage.write(layout.results_key(SHARD), b"results of an older format")
    newer, rows_again = collect_shard(str(tmp_path), "ab", UNCHANGED)
    assert rows_again == rows
    assert newer.fingerprint != older.fingerprint
    assert read_reconciled(storage, SHARD).without_ids() == newer
