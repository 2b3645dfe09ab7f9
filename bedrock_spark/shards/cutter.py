"""Where one shard ends and the next begins, in a bucket's stream of records."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from bedrock_spark.shards.plan import Bounds

T = TypeVar("T")


@dataclass(frozen=True)
class Piece(Generic[T]):
    """Records `start` to `stop` of a chunk belong to the cut-th shard of the bucket."""

    cut: int
    chunk: T
    start: int
    stop: int
    size: int


@dataclass(frozen=True)
class _Measured(Generic[T]):
    """What was added at once: how many records and bytes there are before each place in it."""

    chunk: T
    records: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, chunk: T, sizes: Sequence[int] | npt.NDArray[np.int64]) -> _Measured[T]:
        each = np.asarray(sizes, np.int64)
        return cls(chunk, _sums(each > 0), _sums(each))

    @property
    def length(self) -> int:
        return len(self.bytes) - 1

    def within(self, start: int, records: int, size: int) -> int:
        """Return where more than so many records or bytes from `start` on would be reached."""
        by_records = self.records.searchsorted(self.records[start] + records, "right")
        by_bytes = self.bytes.searchsorted(self.bytes[start] + size, "right")
        return int(min(by_records, by_bytes)) - 1

    def before(self, start: int, records: int, size: int) -> int:
        """Return up to where there are less than so many records, or less than so many bytes."""
        by_records = self.records.searchsorted(self.records[start] + records, "left")
        by_bytes = self.bytes.searchsorted(self.bytes[start] + size, "left")
        return min(self.length, max(start, int(max(by_records, by_bytes))))


def _sums(each: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(each, dtype=np.int64)])


class Cutter(Generic[T]):
    """Cut a stream of records into shards within bounds.

    A size of 0 is no record: it belongs to the record before it and goes where that one went.
    The last `min_records` records are held back until it is known that as many follow, so that the
    last shard is never below the minimum while an earlier one is not. What is held back is at most
    one shard's bytes.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: deque[tuple[_Measured[T], int]] = deque()
        self._held_records = 0
        self._held_bytes = 0
        self._cut = 0
        self._records = 0
        self._bytes = 0

    def add(self, chunk: T, sizes: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[Piece[T]]:
        """Take a chunk of records with these sizes; yield what can be written now, in order."""
        if not len(sizes):
            return
        added = _Measured.of(chunk, sizes)
        self._held.append((added, 0))
        self._held_records += int(added.records[-1])
        self._held_bytes += int(added.bytes[-1])
        yield from self._release(everything=False)

    def finish(self) -> Iterator[Piece[T]]:
        """Yield what was held back."""
        over = (
            self._records + self._held_records > self._bounds.max_records
            or self._bytes + self._held_bytes > self._bounds.max_bytes
        )
        if over and self._records:
            yield from self._release_tied()
            self._next_shard()
        yield from self._release(everything=True)

    def _release_tied(self) -> Iterator[Piece[T]]:
        """Yield what goes where the last record went."""
        while self._held:
            held, start = self._held[0]
            stop = held.within(start, 0, 0)
            yield from self._take(stop)
            if stop < held.length:
                return

    def _release(self, everything: bool) -> Iterator[Piece[T]]:
        while self._held:
            held, start = self._held[0]
            ready = held.length if everything else self._ready(held, start)
            room = self._bounds.max_records - self._records, self._bounds.max_bytes - self._bytes
            stop = min(ready, held.within(start, *room))
            yield from self._take(stop)
            if stop < held.length:
                if stop == ready:
                    return
                self._next_shard()

    def _ready(self, held: _Measured[T], start: int) -> int:
        """Return how far the first chunk need not be held back any more."""
        more_records = self._held_records - self._bounds.min_records
        more_bytes = self._held_bytes - self._bounds.max_bytes
        return held.before(start, more_records, more_bytes)

    def _take(self, stop: int) -> Iterator[Piece[T]]:
        """Yield the first chunk up to `stop`."""
        held, start = self._held.popleft()
        records = int(held.records[stop] - held.records[start])
        size = int(held.bytes[stop] - held.bytes[start])
        if stop < held.length:
            self._held.appendleft((held, stop))
        self._records += records
        self._held_records -= records
        self._bytes += size
        self._held_bytes -= size
        if stop > start:
            yield Piece(self._cut, held.chunk, start, stop, size)

    def _next_shard(self) -> None:
        self._cut += 1
        self._records = 0
        self._bytes = 0
