"""Build the index of a shard while its lines are written, in some microseconds per 1,000 lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bedrock_spark.shards.byte_index import BLOCK_BYTES, MARK_BYTES, ShardIndex
from bedrock_spark.shards.record_ids import ALPHABET, LENGTH, encode

_DIGITS = np.zeros(256, np.uint64)
_DIGITS[np.frombuffer(ALPHABET.encode(), np.uint8)] = np.arange(len(ALPHABET), dtype=np.uint64)
_HALF, _ONE = np.uint64(1 << 63), np.uint64(1)
_LAST_RANK = np.uint64((1 << 64) - 1)
_LAST_HASH = encode((1 << 64) - 1).encode()
# Records are gathered to about this many, because thirty small steps in NumPy cost as much for one
# record as for hundreds. A record that waits takes 19 bytes.
_GATHERED = 10_000


class IndexBuilder:
    """The index of one shard so far."""

    def __init__(self) -> None:
        # Records that wait: their ids, and the bytes of their lines.
        self._waiting: list[tuple[npt.NDArray[np.bytes_], npt.NDArray[Any]]] = []
        self._waiting_records = 0
        self._ranks: list[npt.NDArray[np.uint64]] = []
        self._starts: list[npt.NDArray[np.int64]] = []
        # The sum of the marks before each block, modulo 2^64; and of all marks.
        self._marks_before: list[npt.NDArray[np.uint64]] = []
        self._marks = np.uint64(0)
        self._salted: dict[str, int] = {}
        self._bytes = self._blocks = 0
        self._last_rank = np.uint64(0)
        # The number of whole lengths of a block before the last record: a record with another
        # number begins a block.
        self._last_length = -1

    def add(self, ids: npt.NDArray[np.bytes_], sizes: npt.NDArray[Any]) -> None:
        """Add the next records. The arrays must not change until `finish`.

        ids: of 11 characters each; sizes: the bytes of each line, with its line break
        An entry of size 0 is no record.
        """
        self._waiting.append((ids, sizes))
        self._waiting_records += len(ids)
        if self._waiting_records >= _GATHERED:
            self._add_waiting()

    def _add_waiting(self) -> None:
        if not self._waiting_records:
            return
        ids, sizes = (np.concatenate(arrays) for arrays in zip(*self._waiting, strict=True))
        self._waiting, self._waiting_records = [], 0
        is_record = sizes > 0
        if not is_record.all():
            ids, sizes = ids[is_record], sizes[is_record]
        if len(ids):
            self._add(ids, sizes)

    def _add(self, ids: npt.NDArray[np.bytes_], sizes: npt.NDArray[Any]) -> None:
        ends = np.cumsum(sizes, dtype=np.int64) + self._bytes
        starts = ends - sizes
        lengths = starts // BLOCK_BYTES
        begins = np.flatnonzero(np.diff(lengths, prepend=self._last_length) > 0)
        self._ranks.append(self._ranks_of(ids, begins))
        marks = np.concatenate((self._marks.reshape(1), _marks_of(ids))).cumsum(dtype=np.uint64)
        self._marks_before.append(marks[begins])
        self._marks = marks[-1]
        self._starts.append(starts[begins])
        self._blocks += len(begins)
        self._bytes, self._last_length = int(ends[-1]), int(lengths[-1])

    def finish(self) -> ShardIndex:
        """Return the index of all records."""
        self._add_waiting()
        ranks = np.concatenate(self._ranks).tolist() if self._ranks else []
        starts = np.concatenate(self._starts).tolist() if self._starts else []
        marks = np.concatenate((*self._marks_before, self._marks.reshape(1)))
        return ShardIndex(ranks, [*starts, self._bytes], np.diff(marks).tolist(), self._salted)

    def _ranks_of(
        self, ids: npt.NDArray[np.bytes_], begins: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.uint64]:
        """Return the ranks of the records that begin a block; they never fall.

        begins: the places of these records
        """
        is_salted = _are_salted(ids)
        if not is_salted.any():
            ranks = _ranks_of_plain(ids[np.append(begins, len(ids) - 1)])
            self._last_rank = ranks[-1]
            return ranks[:-1]
        # A salted record has the rank of the record before it, and 1.
        ranks = np.where(is_salted, np.uint64(0), _ranks_of_plain(ids))
        ranks = np.maximum.accumulate(np.concatenate((self._last_rank.reshape(1), ranks)))[1:]
        self._last_rank = ranks[-1]
        for place in np.flatnonzero(is_salted):
            block = self._blocks + int(begins.searchsorted(place, "right")) - 1
            self._salted[ids[place].decode()] = block
        # The last hash of all has no rank behind it: whoever looks for it there finds the block
        # after it, notices that, and reads more.
        return np.where(is_salted & (ranks < _LAST_RANK), ranks + _ONE, ranks)[begins]


def _marks_of(ids: npt.NDArray[np.bytes_]) -> npt.NDArray[np.uint64]:
    """Return the mark of each record; see byte_index.py."""
    characters = ids.view(np.uint8).reshape(-1, LENGTH)[:, -MARK_BYTES:]
    return np.ascontiguousarray(characters).view("<u8").ravel().astype(np.uint64, copy=False)


def _are_salted(ids: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bool_]:
    """Tell which ids are above that of the last hash; the characters are in ASCII's order."""
    is_salted: npt.NDArray[np.bool_] = ids.view(np.uint8)[::LENGTH] >= _LAST_HASH[0]
    doubtful = np.flatnonzero(is_salted)
    is_salted[doubtful] = ids[doubtful] > _LAST_HASH
    return is_salted


def _ranks_of_plain(ids: npt.NDArray[np.bytes_]) -> npt.NDArray[np.uint64]:
    """Return the rank of each record; that of a salted one means nothing."""
    characters = ids.view(np.uint8).reshape(-1, LENGTH)
    numbers = np.zeros(len(ids), np.uint64)
    for column in range(LENGTH):  # beyond 2^64 it wraps around: that is salted
        numbers = numbers * np.uint64(len(ALPHABET)) + _DIGITS[characters[:, column]]
    return numbers + _HALF
