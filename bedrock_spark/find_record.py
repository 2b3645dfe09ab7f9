"""Find one record of a prepared run, in the shards of the bucket that its id tells."""

from __future__ import annotations

from collections.abc import Iterator

from bedrock_spark import layout
from bedrock_spark.errors import RunFolderError
from bedrock_spark.manifest import RunManifest, Shard
from bedrock_spark.record_buckets import bucket_of, bucket_of_shard, is_record_id
from bedrock_spark.shard_lines import ShardLine, read_shard
from bedrock_spark.storage import Storage


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
