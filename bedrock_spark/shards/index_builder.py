"""Build the index of a shard while its lines are written, in some microseconds per 1,000 lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bedrock_spark.shards.byte_index import BLOCK_BYTES, ShardIndex
from bedrock_spark.shards.record_ids import ALPHABET, LENGTH, encode

_DIGITS = np.zeros(256, np.uint64)
_DIGITS[np.frombuffer(ALPHABET.encode(), np.uint8)] = np.arange(len(ALPHABET), dtype=np.uint64)
_HALF, _ONE = np.uint64(1 << 63), np.uint64(1)
_LAST_HASH = encode((1 << 64) - 1).encode()


class IndexBuilder:
    """The index of one shard so far."""

    def __init__(self) -> None:
        self._ranks: list[npt.NDArray[np.uint64]] = []
        self._starts: list[npt.NDArray[np.int64]] = []
        self._salted: dict[str, int] = {}
        self._bytes = self._blocks = 0
        self._last_rank = np.uint64(0)
        # The number of whole lengths of a block before the last record: a record with another
        # number begins a block.
        self._last_length = -1

    def add(self, ids: npt.NDArray[np.bytes_], sizes: npt.NDArray[Any]) -> None:
        """Add the next records.

        ids: of 11 characters each; sizes: the bytes of each line, with its line break
        An entry of size 0 is no record.
        """
        is_record = sizes > 0
        if not is_record.all():
            ids, sizes = ids[is_record], sizes[is_record]
        if not len(ids):
            return
        ends = np.cumsum(sizes, dtype=np.int64) + self._bytes
        starts = ends - sizes
        ranks, is_salted = self._ranks_of(ids)
        lengths = starts // BLOCK_BYTES
        begins = np.diff(lengths, prepend=self._last_length) > 0
        if is_salted.any():
            blocks = np.cumsum(begins) - 1 + self._blocks
            for place in np.flatnonzero(is_salted):
                self._salted[ids[place].decode()] = int(blocks[place])
        self._ranks.append(ranks[begins])
        self._starts.append(starts[begins])
        self._blocks += int(begins.sum())
        self._bytes, self._last_length = int(ends[-1]), int(lengths[-1])

    def finish(self) -> ShardIndex:
        """Return the index of all records."""
        ranks = np.concatenate(self._ranks).tolist() if self._ranks else []
        starts = np.concatenate(self._starts).tolist() if self._starts else []
        return ShardIndex(ranks, [*starts, self._bytes], self._salted)

    def _ranks_of(
        self, ids: npt.NDArray[np.bytes_]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
        """Return the rank of each record, which never falls, and which records are salted."""
        characters = ids.view(np.uint8).reshape(-1, LENGTH)
        numbers = np.zeros(len(ids), np.uint64)
        for column in range(LENGTH):  # beyond 2^64 it wraps around: that is salted, and not used
            numbers = numbers * np.uint64(len(ALPHABET)) + _DIGITS[characters[:, column]]
        is_salted = ids > _LAST_HASH
        ranks = np.where(is_salted, np.uint64(0), numbers + _HALF)
        ranks = np.maximum.accumulate(np.concatenate((self._last_rank.reshape(1), ranks)))[1:]
        self._last_rank = ranks[-1]
        return np.where(is_salted, ranks + _ONE, ranks), is_salted
