"""Cut a bucket's stream of records into shards: next-fit bin packing, in the order of the stream.

Next-fit (https://en.wikipedia.org/wiki/Next-fit_bin_packing) keeps one bin open. A record that does
not fit closes the bin and opens the next one. It needs one pass, keeps the order, and depends on
the sizes alone, so the same records always become the same shards. Better packings would reorder
records or keep several shards open.

One rule is added: the last shard must not be below `min_records`. So the last `min_records` records
are held back until the stream ends, or fewer if they have more than `max_bytes` bytes. If they do
not fit into the open shard, they become the last shard.

Beside its record, an entry has a row, whose bytes have a bound of their own: `max_row_bytes` bounds
the memory that is needed to read the rows of a shard. It is weaker than the other bounds, which are
the service's: it never cuts a shard below `min_records`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bedrock_spark.shards.plan import Bounds

T = TypeVar("T")
Sizes: TypeAlias = Sequence[int] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Piece(Generic[T]):
    """Records `start` to `stop` of a chunk, `size` bytes: they go into the bucket's shard `cut`."""

    cut: int
    chunk: T
    start: int
    stop: int
    size: int


@dataclass(frozen=True)
class _MeasuredChunk(Generic[T]):
    """A chunk with the prefix sums of its records and bytes.

    Prefix sums (https://en.wikipedia.org/wiki/Prefix_sum) turn "how many fit" into a binary search.
    `records_before[i]` and `bytes_before[i]` count entries 0 to i - 1; both have length + 1 items.
    So do `row_bytes_before`.
    """

    chunk: T
    records_before: npt.NDArray[np.int64]
    bytes_before: npt.NDArray[np.int64]
    row_bytes_before: npt.NDArray[np.int64]

    @classmethod
    def of(cls, chunk: T, sizes: Sizes, row_sizes: Sizes) -> _MeasuredChunk[T]:
        entry_bytes = np.asarray(sizes, np.int64)
        return cls(
            chunk,
            _prefix_sums(entry_bytes > 0),
            _prefix_sums(entry_bytes),
            _prefix_sums(np.asarray(row_sizes, np.int64)),
        )

    @property
    def length(self) -> int:
        return len(self.bytes_before) - 1

    def last_stop_within(self, start: int, records: int, size: int) -> int:
        """Return the largest `stop` such that [start, stop) is within both limits.

        At most `records` records and at most `size` bytes.
        """
        by_records = self.records_before.searchsorted(self.records_before[start] + records, "right")
        by_bytes = self.bytes_before.searchsorted(self.bytes_before[start] + size, "right")
        return int(min(by_records, by_bytes)) - 1

    def last_stop_within_rows(self, start: int, row_bytes: int, least: int) -> int:
        """Return the largest `stop` such that the rows of [start, stop) have `row_bytes` at most.

        least: this many records are allowed in any case
        Entries of size 0 are never cut off from their record.
        """
        by_rows = self.row_bytes_before.searchsorted(
            self.row_bytes_before[start] + row_bytes, "right"
        )
        stop = max(start, int(by_rows) - 1, self.first_stop_with(start, least, 0))
        return int(self.records_before.searchsorted(self.records_before[stop], "right")) - 1

    def first_stop_with(self, start: int, records: int, size: int) -> int:
        """Return the smallest `stop` such that [start, stop) reaches both numbers.

        At least `records` records and at least `size` bytes; the length if the chunk has fewer,
        `start` if both numbers are 0 or below.
        """
        by_records = self.records_before.searchsorted(self.records_before[start] + records, "left")
        by_bytes = self.bytes_before.searchsorted(self.bytes_before[start] + size, "left")
        return min(self.length, max(start, int(max(by_records, by_bytes))))


def _prefix_sums(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])


class Cutter(Generic[T]):
    """Cut a stream of records into shards within bounds.

    An entry of size 0 is no record: it belongs to the record before it and goes into its shard.
    At most `min_records` records and `max_bytes` bytes are held back, so memory is bounded.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # Chunks that are not released yet, each with the place from which on it is held back.
        self._held: deque[tuple[_MeasuredChunk[T], int]] = deque()
        self._held_records = 0
        self._held_bytes = 0
        self._held_row_bytes = 0
        # The open shard: its number, and the records and bytes that were released into it.
        self._cut = 0
        self._open_records = 0
        self._open_bytes = 0
        self._open_row_bytes = 0

    def add(self, chunk: T, sizes: Sizes, row_sizes: Sizes | None = None) -> Iterator[Piece[T]]:
        """Add a chunk of records with these sizes in bytes; yield the pieces that can be written.

        row_sizes: the bytes of the row of each entry; 0 if they are not given
        Pieces come in the order of the stream.
        """
        if not len(sizes):
            return
        rows = np.zeros(len(sizes), np.int64) if row_sizes is None else row_sizes
        added = _MeasuredChunk.of(chunk, sizes, rows)
        self._held.append((added, 0))
        self._held_records += int(added.records_before[-1])
        self._held_bytes += int(added.bytes_before[-1])
        self._held_row_bytes += int(added.row_bytes_before[-1])
        yield from self._release(everything=False)

    def finish(self) -> Iterator[Piece[T]]:
        """Yield the pieces that were held back.

        If they do not all fit into the open shard, all go into a new one. Next-fit alone would fill
        the open shard first and could leave a last one below the minimum.
        """
        overflows = (
            self._open_records + self._held_records > self._bounds.max_records
            or self._open_bytes + self._held_bytes > self._bounds.max_bytes
            or (
                self._open_row_bytes + self._held_row_bytes > self._bounds.max_row_bytes
                and self._open_records >= self._bounds.min_records
            )
        )
        if overflows and self._open_records:
            yield from self._release_tied()
            self._next_shard()
        yield from self._release(everything=True)

    def _release_tied(self) -> Iterator[Piece[T]]:
        """Yield the entries of size 0 that belong to the last released record."""
        while self._held:
            held, start = self._held[0]
            stop = held.last_stop_within(start, 0, 0)
            yield from self._release_until(stop)
            if stop < held.length:
                return

    def _release(self, everything: bool) -> Iterator[Piece[T]]:
        """Yield pieces by next-fit: of all that is held, or of all but what must stay held back.

        The last records are not cut by the bytes of their rows: they are `min_records` at most.
        """
        while self._held:
            held, start = self._held[0]
            releasable = held.length if everything else self._releasable_until(held, start)
            free_records = self._bounds.max_records - self._open_records
            free_bytes = self._bounds.max_bytes - self._open_bytes
            stop = min(releasable, held.last_stop_within(start, free_records, free_bytes))
            if not everything:
                free_row_bytes = self._bounds.max_row_bytes - self._open_row_bytes
                least = self._bounds.min_records - self._open_records
                stop = min(stop, held.last_stop_within_rows(start, free_row_bytes, least))
            yield from self._release_until(stop)
            if stop < held.length:
                if stop == releasable:
                    return
                self._next_shard()

    def _releasable_until(self, held: _MeasuredChunk[T], start: int) -> int:
        """Return how far the first chunk can be released.

        The smallest `stop` that leaves at most `min_records` records and `max_bytes` bytes held.
        """
        excess_records = self._held_records - self._bounds.min_records
        excess_bytes = self._held_bytes - self._bounds.max_bytes
        return held.first_stop_with(start, excess_records, excess_bytes)

    def _release_until(self, stop: int) -> Iterator[Piece[T]]:
        """Move the first chunk up to `stop` into the open shard; yield it unless it is empty."""
        held, start = self._held.popleft()
        records = int(held.records_before[stop] - held.records_before[start])
        size = int(held.bytes_before[stop] - held.bytes_before[start])
        row_bytes = int(held.row_bytes_before[stop] - held.row_bytes_before[start])
        if stop < held.length:
            self._held.appendleft((held, stop))
        self._open_records += records
        self._held_records -= records
        self._open_bytes += size
        self._held_bytes -= size
        self._open_row_bytes += row_bytes
        self._held_row_bytes -= row_bytes
        if stop > start:
            yield Piece(self._cut, held.chunk, start, stop, size)

    def _next_shard(self) -> None:
        self._cut += 1
        self._open_records = 0
        self._open_bytes = 0
        self._open_row_bytes = 0
