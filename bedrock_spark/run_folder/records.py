"""Find one record of a prepared run, in the shards of the bucket that its id tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bedrock_spark.errors import (
    RunFolderError,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.shards.buckets import bucket_of, bucket_of_shard, is_record_id
from bedrock_spark.shards.lines import ShardLine, read_shard
from bedrock_spark.storage import Storage

# How much of a shard's beginning is read, until enough whole lines are in it.
_HEADS = (256_000, 4_000_000, 32_000_000)


def first_records(storage: Storage, shards: Sequence[Shard], count: int) -> list[ShardLine]:
    """Return so many records, or as many as there are: the first of shards all over the run.

    They are the same every time. Of a shard not much more is read than they take.
    """
    chosen = min(count, len(shards))
    found: list[ShardLine] = []
    for i in range(chosen):
        wanted = count // chosen + (i < count % chosen)
        found += _head(storage, shards[i * len(shards) // chosen], wanted)
    return found


def _head(storage: Storage, shard: Shard, count: int) -> list[ShardLine]:
    key = layout.shard_key(shard.shard_id)
    for size in _HEADS:
        data = storage.read_head(key, size)
        if len(data) < size:
            return list(islice(read_shard(data), count))
        whole = data[: data.rfind(b"\n") + 1]
        if whole.count(b"\n") >= count:
            return list(islice(read_shard(whole), count))
    return list(islice(read_shard(storage.read(key)), count))


def find_record(storage: Storage, manifest: RunManifest, record_id: str) -> ShardLine:
    """Return the record with this id. Reads a shard at a time. Raises RunFolderError."""
    if not is_record_id(record_id):
        raise RunFolderError(f"{record_id!r}: is not a record id, which is 11 of 0-9, A-Z, a-z")
    for shard in _shards_of(manifest, record_id):
        line = _line_of(storage.read(layout.shard_key(shard.shard_id)), record_id)
        if line is not None:
            return next(read_shard(line))
    raise RunFolderError(f"{storage.uri}: has no record {record_id}; its row may be rejected")


def _shards_of(manifest: RunManifest, record_id: str) -> Iterator[Shard]:
    for shard in manifest.shards:
        bucket, buckets = bucket_of_shard(shard.shard_id)
        if bucket == bucket_of(record_id, buckets):
            yield shard


def _line_of(data: bytes, record_id: str) -> bytes | None:
    """Return the line of a record: no line holds a newline, so its beginning is found at once."""
    begins = f'{{"recordId":"{record_id}",'.encode()
    start = 0 if data.startswith(begins) else data.find(b"\n" + begins) + 1
    if not data.startswith(begins, start):
        return None
    return data[start : data.find(b"\n", start)]
