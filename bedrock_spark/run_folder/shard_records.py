"""Read some records of a shard, by the bytes in which its index says that they are.

The index is a hint. A record counts only if its line says its id. Records that are not where the
index says, and all records of a shard whose index is missing or damaged, are looked for in the
whole shard. So a wrong index costs time, and nothing else.

Memory holds a few pieces of a shard, however large that is.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from typing import NamedTuple

import msgspec

from bedrock_spark.run_folder import layout
from bedrock_spark.shards.byte_index import ByteRange, DamagedIndexError, ShardIndex, merged
from bedrock_spark.shards.lines import ShardLine, read_line
from bedrock_spark.storage import Piece, Storage, read_ahead

log = logging.getLogger(__name__)

# Bytes that are read rather than skipped between two records. bench/latency.py measures it: less
# means many more calls if many records are read, more means many more bytes if few are.
MAX_GAP = 128_000
# Bytes of one read.
PIECE_BYTES = 4_000_000


class Lines(NamedTuple):
    """The objects that hold the lines of a shard, in order.

    starts: where each object begins in all lines of the shard, which the index counts in
    """

    keys: Sequence[str]
    starts: Sequence[int]

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the pieces of objects in which bytes `start` up to `stop` of all lines are."""
        for number in range(bisect_right(self.starts, start) - 1, len(self.keys)):
            begin = self.starts[number]
            end = self.starts[number + 1] if number + 1 < len(self.keys) else stop
            if begin >= stop:
                return
            yield self.keys[number], max(start, begin) - begin, min(stop, end) - begin


def lines_of(shard_id: str, prepare_id: str, files: Sequence[int] = ()) -> Lines:
    """Return the objects of the lines of a shard; see `Shard` for the arguments."""
    if not files:
        return Lines((layout.shard_key(shard_id, prepare_id),), (0,))
    keys = layout.lines_keys(layout.shard_folder(shard_id, prepare_id), len(files))
    return Lines(keys, tuple(accumulate(files[:-1], initial=0)))


def read_records(
    storage: Storage,
    shard_id: str,
    prepare_id: str,
    record_ids: Iterable[str],
    files: Sequence[int] = (),
) -> Iterator[ShardLine]:
    """Yield those of the records that the shard has, in its order.

    Records that the index does not lead to come last.

    prepare_id: names the folder of the shards
    files: the bytes of its files, if it has several
    Raises StorageError, also if the shard does not exist.
    """
    lines = lines_of(shard_id, prepare_id, files)
    index = read_index(storage, shard_id, prepare_id)
    yield from found_records(storage, lines, index, record_ids)


def found_records(
    storage: Storage, lines: Lines, index: ShardIndex | None, record_ids: Iterable[str]
) -> Iterator[ShardLine]:
    """Do as `read_records` with an index that was read before; None: all of the shard is read."""
    wanted = set(record_ids)
    if index is not None:
        for record in indexed_records(storage, lines, index, wanted):
            wanted.discard(record.recordId)
            yield record
        if wanted:
            key = lines.keys[0]
            log.warning("%s: the index is wrong for %d records; all is read", key, len(wanted))
    if wanted:
        for record in all_records(storage, lines):
            if record.recordId in wanted:
                yield record


def read_index(storage: Storage, shard_id: str, prepare_id: str) -> ShardIndex | None:
    """Return the index of a shard; None if it has none, or a damaged one."""
    key = layout.index_key(shard_id, prepare_id)
    data = storage.read_if_present(key)
    if data is None:
        return None
    try:
        return ShardIndex.from_bytes(data)
    except DamagedIndexError as exc:
        log.warning("%s: %s; the shard is read whole", key, exc)
        return None


def indexed_records(
    storage: Storage, lines: Lines, index: ShardIndex, record_ids: Iterable[str]
) -> Iterator[ShardLine]:
    """Yield those of the records that are where the index says."""
    wanted = set(record_ids)
    blocks = (index.block_of(record_id) for record_id in wanted)
    for record in records_in(storage, lines, (block for block in blocks if block is not None)):
        if record.recordId in wanted:
            yield record


def records_in(storage: Storage, lines: Lines, blocks: Iterable[ByteRange]) -> Iterator[ShardLine]:
    """Yield the records in these bytes of all lines, in their order, and some that are near.

    What is no whole line is left out.
    """
    reads = merged(blocks, MAX_GAP, PIECE_BYTES)
    places = (piece for start, stop in reads for piece in lines.pieces(start, stop))
    with closing(read_ahead(storage, places)) as pieces:
        for _, data in pieces:
            for line in data.split(b"\n"):
                record = _record(line)
                if record is not None:
                    yield record


def all_records(storage: Storage, lines: Lines) -> Iterator[ShardLine]:
    """Yield every record of a shard, which is read piece by piece.

    Raises msgspec.DecodeError if it is damaged.
    """
    for key in lines.keys:
        yield from _records_of(storage, key)


def _records_of(storage: Storage, key: str) -> Iterator[ShardLine]:
    rest = b""
    for data in _pieces(storage, key):
        *lines, rest = (rest + data).split(b"\n")
        yield from (read_line(line) for line in lines if line)
    if rest:
        yield read_line(rest)


def _pieces(storage: Storage, key: str) -> Iterator[bytes]:
    first = storage.read_range(key, 0, PIECE_BYTES)
    yield first
    if len(first) < PIECE_BYTES:
        return
    size = next(stored.size for stored in storage.list(key) if stored.key == key)
    starts = range(PIECE_BYTES, size, PIECE_BYTES)
    rest = ((key, start, min(start + PIECE_BYTES, size)) for start in starts)
    with closing(read_ahead(storage, rest)) as pieces:
        yield from (data for _, data in pieces)


def _record(line: bytes) -> ShardLine | None:
    """Return the record of a line; None if the bytes are a part of one, as of a wrong range."""
    try:
        return read_line(line) if line else None
    except msgspec.DecodeError:
        return None
