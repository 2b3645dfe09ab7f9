"""How many buckets, and where one shard ends and the next begins.

Records are dealt into buckets by a hash of their id; one task cuts one bucket into shards. A few
shards to a bucket keep them full: only the last cut of a bucket is short. With few shards in all,
one to a bucket keeps every core busy.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

# Buckets are aimed just below this many full shards.
SHARDS_PER_BUCKET = 4
# Up to this many shards, parallelism matters more than full shards: one to a bucket.
FEW_SHARDS = 8
# Hashing spreads records unevenly: this many standard deviations of room keep a bucket in its
# planned number of shards.
_SPREAD = 4.0


@dataclass(frozen=True)
class SourceSize:
    """How much there is: rows, and an estimate of the bytes of their JSON lines."""

    records: int
    line_bytes: int


@dataclass(frozen=True)
class Bounds:
    """What a shard may be."""

    max_records: int
    max_bytes: int
    min_records: int


def plan_buckets(size: SourceSize, bounds: Bounds) -> int:
    """Return the number of buckets. It depends on the data and the bounds, never on the cluster."""
    shards = max(size.records / bounds.max_records, size.line_bytes / bounds.max_bytes)
    if shards <= 1:
        return 1
    per_bucket = SHARDS_PER_BUCKET if shards > FEW_SHARDS else 1
    buckets = math.ceil(shards / per_bucket)
    # Ends: with one record to a bucket, or less, more buckets change nothing.
    while not _fits(size, bounds, buckets, per_bucket) and buckets < size.records:
        buckets += max(1, buckets // 50)
    # A bucket must hold min_records even where it came out small.
    room = bounds.min_records + _SPREAD * math.sqrt(bounds.min_records)
    return max(1, min(buckets, int(size.records / room)))


def _fits(size: SourceSize, bounds: Bounds, buckets: int, shards_per_bucket: int) -> bool:
    mean = size.records / buckets
    largest = mean + _SPREAD * math.sqrt(mean)
    average_line = size.line_bytes / max(1, size.records)
    return (
        largest <= bounds.max_records * shards_per_bucket
        and largest * average_line <= bounds.max_bytes * shards_per_bucket
    )


T = TypeVar("T")


@dataclass(frozen=True)
class Piece(Generic[T]):
    """Records `start` to `stop` of a chunk belong to the cut-th shard of the bucket."""

    cut: int
    chunk: T
    start: int
    stop: int
    size: int


class Cutter(Generic[T]):
    """Cut a stream of records into shards within bounds.

    The last `min_records` records are held back until it is known that as many follow, so that the
    last shard is never below the minimum while an earlier one is not. What is held back is at most
    one shard's bytes.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: deque[tuple[T, Sequence[int], int]] = deque()
        self._held_records = 0
        self._held_bytes = 0
        self._cut = 0
        self._records = 0
        self._bytes = 0

    def add(self, chunk: T, sizes: Sequence[int]) -> Iterator[Piece[T]]:
        """Take a chunk of records with these sizes; yield what can be written now, in order."""
        if not sizes:
            return
        self._held.append((chunk, sizes, 0))
        self._held_records += len(sizes)
        self._held_bytes += sum(sizes)
        yield from self._release(
            lambda: (
                self._held_records > self._bounds.min_records
                or self._held_bytes > self._bounds.max_bytes
            )
        )

    def finish(self) -> Iterator[Piece[T]]:
        """Yield what was held back."""
        over = (
            self._records + self._held_records > self._bounds.max_records
            or self._bytes + self._held_bytes > self._bounds.max_bytes
        )
        if over and self._records:
            self._next_shard()
        yield from self._release(lambda: self._held_records > 0)

    def _release(self, more: Callable[[], bool]) -> Iterator[Piece[T]]:
        while more():
            chunk, sizes, start = self._held.popleft()
            stop, size = start, 0
            while stop < len(sizes) and more() and self._takes(stop - start, size, sizes[stop]):
                size += sizes[stop]
                self._held_records -= 1
                self._held_bytes -= sizes[stop]
                stop += 1
            if stop < len(sizes):
                self._held.appendleft((chunk, sizes, stop))
            if stop > start:
                self._records += stop - start
                self._bytes += size
                yield Piece(self._cut, chunk, start, stop, size)
            if stop < len(sizes) and more():
                self._next_shard()

    def _takes(self, records: int, size: int, next_size: int) -> bool:
        return (
            self._records + records < self._bounds.max_records
            and self._bytes + size + next_size <= self._bounds.max_bytes
        )

    def _next_shard(self) -> None:
        self._cut += 1
        self._records = 0
        self._bytes = 0
