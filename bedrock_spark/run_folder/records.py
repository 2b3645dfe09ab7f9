"""Read single records of a prepared run: the first ones, or one by its id.

A record id gives the number of its bucket, so only the shards of that bucket are looked at, and of
these only the bytes in which the record may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.shard_records import (
    Lines,
    all_records,
    indexed_records,
    lines_of,
    read_index,
)
from bedrock_spark.shards.buckets import bucket_of, bucket_of_shard, is_record_id
from bedrock_spark.shards.lines import ShardLine, read_shard
from bedrock_spark.storage import Storage

# Bytes of a shard's beginning to read: the next size if the lines in it are not enough.
_HEADS = (256_000, 4_000_000, 32_000_000)


def first_records(storage: Storage, shards: Sequence[Shard], count: int) -> list[ShardLine]:
    """Return at most `count` records: the first ones of shards that are spread over the run.

    The choice is the same every time. Only the beginning of a shard is read, unless its first
    records take more than 32 MB. There are fewer than `count` if a chosen shard has too few.
    """
    chosen = min(count, len(shards))
    records: list[ShardLine] = []
    for i in range(chosen):
        share = count // chosen + (i < count % chosen)
        records += _head(storage, shards[i * len(shards) // chosen], share)
    return records


def _head(storage: Storage, shard: Shard, count: int) -> list[ShardLine]:
    """Return the first `count` records of a shard, or all if it has fewer.

    Of a shard of several files, they are of the first file.
    """
    key = next(iter(shard.sizes))
    for size in _HEADS:
        data = storage.read_range(key, 0, size)
        if len(data) < size:
            return list(islice(read_shard(data), count))
        whole_lines = data[: data.rfind(b"\n") + 1]
        if whole_lines.count(b"\n") >= count:
            return list(islice(read_shard(whole_lines), count))
    return list(islice(read_shard(storage.read(key)), count))


def find_record(storage: Storage, manifest: RunManifest, record_id: str) -> ShardLine:
    """Return the record with this id. Reads a few bytes of the shards of its bucket.

    It reads shards whole if they have no index, or if no index leads to the record.
    Raises RunFolderError if no record has this id, or no record can have it.
    """
    if not is_record_id(record_id):
        raise RunFolderError(f"{record_id!r}: is not a record id, which is 11 of 0-9, A-Z, a-z")
    for record in _candidates(storage, list(shards_of(manifest, record_id)), record_id):
        if record.recordId == record_id:
            return record
    kept = ", or have a kept answer: then the results have it" if manifest.kept else ""
    raise RunFolderError(f"{storage.uri}: has no record {record_id}; its row may be rejected{kept}")


def shards_of(manifest: RunManifest, record_id: str) -> Iterator[Shard]:
    """Yield the shards that may have a record: those of its bucket."""
    for shard in manifest.shards:
        bucket, buckets = bucket_of_shard(shard.shard_id)
        if bucket == bucket_of(record_id, buckets):
            yield shard


def _candidates(storage: Storage, shards: Sequence[Shard], record_id: str) -> Iterator[ShardLine]:
    """Yield the record if an index leads to it; then all records of shards that may have it."""
    unread = []
    for shard in shards:
        index = read_index(storage, shard.shard_id, shard.prepare_id)
        if index is None:
            yield from all_records(storage, _lines(shard))
        else:
            unread.append(shard)
            yield from indexed_records(storage, _lines(shard), index, [record_id])
    for shard in unread:
        yield from all_records(storage, _lines(shard))


def _lines(shard: Shard) -> Lines:
    return lines_of(shard.shard_id, shard.prepare_id, shard.files)
