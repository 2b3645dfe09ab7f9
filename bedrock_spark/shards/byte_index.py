"""The index of a shard: in which bytes a record is, so that a few records need no whole shard.

A shard is a sorted file: its records are in the order of their hashes. So the index is sparse: it
has the first record of each block of about 4 kB, and a binary search finds the block of a record,
as in a sorted string table (https://research.google/pubs/bigtable-a-distributed-storage-system-for-structured-data/).

    rank     the place of a record's hash among all hashes, as signed numbers: Spark's order
    salted   a record whose id is not its hash (record_ids.py). It comes right after a record with
             the same hash; the index lists it by its id
    mark     the last eight characters of a record's id as a number

The sum of the marks of each block tells whether some records are all that the block has.

The index is a hint and nothing more: whoever uses it compares the ids in the bytes that it reads,
or the number of records. Its bytes are a header, then the ranks, the lengths of the blocks, the
sums of their marks, the ids of the salted records and their blocks, and a CRC-32 of all that.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import sub
from typing import TypeAlias

from bedrock_spark.shards.record_ids import LENGTH, decode

# A block ends with the record that reaches this many bytes. Smaller blocks make a larger index,
# larger ones make a record cost more bytes: this is near the least sum for ten records of 50 MB.
BLOCK_BYTES = 4_096
# A smaller shard has no index: reading all of it costs no more than one call.
MIN_SHARD_BYTES = 1_000_000

_HASH_COUNT = 1 << 64
_MAGIC, _VERSION = b"BSIX", 2
_HEADER = struct.Struct("<4sHQII")
_CRC = struct.Struct("<I")
MARK_BYTES = 8
_SUM_COUNT = 1 << 64

# Bytes of an object: from the first number up to the second.
ByteRange: TypeAlias = tuple[int, int]


class DamagedIndexError(ValueError):
    """The bytes are not an index."""


@dataclass(frozen=True)
class ShardIndex:
    """The blocks of a shard.

    ranks: of the first record of each block, ascending; for a salted one, 1 more than the rank of
        the record before it
    bounds: where each block begins, and where the last one ends
    sums: of the marks of the records of each block, modulo 2^64
    salted: the blocks of salted records, by record id
    """

    ranks: Sequence[int]
    bounds: Sequence[int]
    sums: Sequence[int]
    salted: dict[str, int]

    def block_of(self, record_id: str) -> ByteRange | None:
        """Return the bytes in which a record is, if the shard has it. None if it cannot be."""
        block = self._number_of(record_id)
        return None if block is None else (self.bounds[block], self.bounds[block + 1])

    def blocks_without(self, record_ids: Iterable[str]) -> tuple[list[ByteRange], set[str]]:
        """Return the blocks that may have other records, and those of the records that others have.

        record_ids: each once; the shard need not have them
        A block is left out if the marks of its records add up to its sum. That they do by chance
        has a probability of about 2^-47.
        """
        left = list(self.sums)
        own: dict[int, list[str]] = {}
        for record_id in record_ids:
            block = self._number_of(record_id)
            if block is not None:
                left[block] -= mark_of(record_id)
                own.setdefault(block, []).append(record_id)
        numbers = [block for block, rest in enumerate(left) if rest % _SUM_COUNT]
        for block in numbers:
            own.pop(block, None)
        blocks = [(self.bounds[block], self.bounds[block + 1]) for block in numbers]
        return blocks, set(chain.from_iterable(own.values()))

    def _number_of(self, record_id: str) -> int | None:
        """Return the number of a record's block, if the shard has it. None if it cannot be."""
        block = self.salted.get(record_id)
        if block is None:
            number = decode(record_id)
            if number is None or number >= _HASH_COUNT:
                return None
            block = bisect_right(self.ranks, rank_of(number)) - 1
        return None if block < 0 else block

    def to_bytes(self) -> bytes:
        """Return the index as it is written."""
        blocks, salted = len(self.ranks), len(self.salted)
        lengths = map(sub, self.bounds[1:], self.bounds)
        data = b"".join(
            (
                _HEADER.pack(_MAGIC, _VERSION, self.bounds[-1], blocks, salted),
                struct.pack(f"<{blocks}Q", *self.ranks),
                struct.pack(f"<{blocks}I", *lengths),
                struct.pack(f"<{blocks}Q", *self.sums),
                "".join(self.salted).encode(),
                struct.pack(f"<{salted}I", *self.salted.values()),
            )
        )
        return data + _CRC.pack(zlib.crc32(data))

    @classmethod
    def from_bytes(cls, data: bytes) -> ShardIndex:
        """Read what `to_bytes` wrote. Raises DamagedIndexError if it is anything else."""
        try:
            return cls._parsed(data)
        except (struct.error, ValueError) as exc:
            raise DamagedIndexError(f"is not an index of a shard: {exc}") from exc

    @classmethod
    def _parsed(cls, data: bytes) -> ShardIndex:
        body, crc = data[: -_CRC.size], data[-_CRC.size :]
        if _CRC.unpack(crc)[0] != zlib.crc32(body):
            raise ValueError("its bytes are damaged")
        magic, version, size, blocks, salted = _HEADER.unpack_from(body)
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("it has another format")
        place = _HEADER.size
        ranks = struct.unpack_from(f"<{blocks}Q", body, place)
        place += 8 * blocks
        bounds = (0, *accumulate(struct.unpack_from(f"<{blocks}I", body, place)))
        place += 4 * blocks
        sums = struct.unpack_from(f"<{blocks}Q", body, place)
        place += 8 * blocks
        ids = body[place : place + LENGTH * salted].decode("ascii")
        blocks_of_ids = struct.unpack_from(f"<{salted}I", body, place + LENGTH * salted)
        if bounds[-1] != size or any(block >= blocks for block in blocks_of_ids):
            raise ValueError("its numbers do not fit together")
        names = (ids[start : start + LENGTH] for start in range(0, len(ids), LENGTH))
        return cls(ranks, bounds, sums, dict(zip(names, blocks_of_ids, strict=True)))


def mark_of(record_id: str) -> int:
    """Return the mark of a record."""
    return int.from_bytes(record_id[-MARK_BYTES:].encode(), "little")


def rank_of(number: int) -> int:
    """Return the rank of an unsigned hash."""
    return (number + _HASH_COUNT // 2) % _HASH_COUNT


def merged(ranges: Iterable[ByteRange], max_gap: int, max_bytes: int) -> list[ByteRange]:
    """Return ranges, in order, as reads: near ones become one read, equal ones too.

    max_gap: the bytes between two ranges that are rather read than skipped
    max_bytes: a read is not made longer than this; a single range may be
    """
    reads: list[ByteRange] = []
    for start, stop in sorted(set(ranges)):
        if reads:
            first, last = reads[-1]
            if start - last <= max_gap and stop - first <= max_bytes:
                reads[-1] = first, max(last, stop)
                continue
        reads.append((start, stop))
    return reads
