"""The files of a shard: a large one has an index, a small one is read whole."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pytest

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, manifest_json, read_manifest
from bedrock_spark.run_folder.shard_records import read_index, read_records
from bedrock_spark.shards.byte_index import MIN_SHARD_BYTES
from bedrock_spark.shards.cutter import Cutter
from bedrock_spark.shards.plan import Bounds
from bedrock_spark.shards.record_ids import encode
from bedrock_spark.spark.prepare.rehearsal import CountedShards
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


@pytest.mark.parametrize("max_files", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_a_shard_is_a_folder_of_at_most_max_files_within_their_bounds(
    tmp_path: Path, max_files: int, seed: int
) -> None:
    """Each file keeps the bounds of a file, each shard those of a job; the lines are all there."""
    dice = random.Random(seed)
    bounds = Bounds(60, 9_000 * max_files, 10, max_files=max_files)
    storage, schema = LocalStorage(str(tmp_path)), pa.schema([("_bs_record_id", pa.string())])
    files = BucketFiles(storage, PREPARE_ID, 0, schema, (), max_files)
    counted = CountedShards(0, 0, max_files)
    cutter: Cutter[list[str]] = Cutter(bounds.of_file)
    ids = [encode(n) for n in range(dice.randrange(100, 300))]
    lines = [line_of(i)[: dice.randrange(60, 500)].rstrip(b"\n") + b'"}}\n' for i in ids]
    line_by_id = dict(zip(ids, lines, strict=True))
    pieces = [
        piece
        for start in range(0, len(ids), 40)
        for piece in cutter.add(
            ids[start : start + 40], [len(line_by_id[i]) for i in ids[start : start + 40]]
        )
    ]
    for piece in (*pieces, *cutter.finish()):
        own = piece.chunk[piece.start : piece.stop]
        rows = pa.record_batch([pa.array(own)], schema=schema)
        for sink in (files, counted):
            sink.write(piece.cut, pa.array([line_by_id[i] for i in own], pa.binary()), rows)
    files.finish()
    written = {key: storage.read(key) for shard in files.shards for key in shard.sizes}
    assert b"".join(written.values()) == b"".join(lines)
    assert {o.key for o in storage.list(layout.SHARDS)} == set(written)
    for shard, planned in zip(files.shards, counted.shards, strict=True):
        data = b"".join(written[key] for key in shard.sizes)
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert [len(written[key]) for key in shard.sizes] == list(shard.sizes.values())
        assert len(shard.files) == (0 if max_files == 1 else len(shard.sizes)) <= max_files
        assert all(size <= 9_000 for size in shard.sizes.values())
        assert bounds.min_records <= shard.records <= bounds.max_records
        assert (planned.shard_id, planned.records) == (shard.shard_id, shard.records)
    manifest = RunManifest("r", len(ids), "a INT", tuple(files.shards), (), PREPARE_ID)
    storage.write(layout.MANIFEST_FILE, manifest_json(manifest))
    assert read_manifest(storage) == manifest
