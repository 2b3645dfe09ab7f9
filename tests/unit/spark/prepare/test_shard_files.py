"""The files of a shard: a large one has an index, a small one is read whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.shard_records import read_index, read_records
from bedrock_spark.shards.byte_index import MIN_SHARD_BYTES
from bedrock_spark.shards.record_ids import encode
from bedrock_spark.spark.prepare.shard_files import BucketFiles
from bedrock_spark.storage import LocalStorage

PREPARE_ID = "0a1b2c3d4e5f"
LINE_BYTES = 1_000


def line_of(record_id: str) -> bytes:
    head = b'{"recordId":"%b","modelInput":{"a":"' % record_id.encode()
    return head + b"x" * (LINE_BYTES - len(head) - 4) + b'"}}\n'


@pytest.mark.parametrize("missing", [0, 1])
def test_a_shard_of_a_megabyte_has_an_index(tmp_path: Path, missing: int) -> None:
    """A row that shares a record has no line. Records are read with an index and without."""
    storage = LocalStorage(str(tmp_path / "run"))
    ids = [encode(n) for n in range(MIN_SHARD_BYTES // LINE_BYTES - missing)]
    schema = pa.schema([("_bs_record_id", pa.string()), ("a", pa.int64())])
    files = BucketFiles(storage, PREPARE_ID, 0, schema, ())
    for start in range(0, len(ids), 300):
        piece = ids[start : start + 300]
        lines = [line for i in piece for line in (line_of(i), b"")]
        columns = [[i for i in piece for _ in range(2)], range(2 * len(piece))]
        rows = pa.record_batch([pa.array(c) for c in columns], schema=schema)
        files.write(0, pa.array(lines, pa.binary()), rows)
    files.finish()
    files.abort()
    (shard,) = files.shards
    assert (shard.records, shard.rows, shard.bytes) == (len(ids), 2 * len(ids), 1000 * len(ids))
    assert (read_index(storage, shard.shard_id, PREPARE_ID) is None) == bool(missing)
    found = read_records(storage, shard.shard_id, PREPARE_ID, ids[::100])
    assert [record.as_line() for record in found] == [line_of(i) for i in ids[::100]]
    assert storage.list(layout.INDEX) == [] or not missing


def test_the_open_shard_of_a_task_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """Shards before it stay: their names are those of every attempt of the task."""
    storage = LocalStorage(str(tmp_path))
    schema = pa.schema([("_bs_record_id", pa.string())])
    files = BucketFiles(storage, PREPARE_ID, 0, schema, ())
    for cut in range(2):
        rows = pa.record_batch([pa.array([encode(cut)])], schema=schema)
        files.write(cut, pa.array([line_of(encode(cut))], pa.binary()), rows)
    files.abort()
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == ["shard-00000-00.jsonl", "shard-00000-00.parquet"]
