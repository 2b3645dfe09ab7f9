"""Assign a record id to every row of a bucket, in the order in which the bucket is sorted.

Nearly always all hashes differ, and the bucket is sorted by hash alone. If not, it is sorted by
hash and then by key: rows with equal hashes follow each other, and so do rows with equal keys. If
two keys have the same hash, the id of the second is salted (see record_ids.py). The caller chooses
what a row gets that repeats a key (OnRepeat).

Rows that share a record go into one shard, and collect reads the rows of a shard at once. So the
rows of one record have a bound: the row that would exceed it begins another record of the same key.

Salts only count up in a bucket, so no id is given twice, and the last salt is all that must be
remembered: a hundred million rows with one body need no more memory than two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bedrock_spark.shards.record_ids import ALPHABET, LENGTH, encode, first_salt, salted_id
from bedrock_spark.spark.prepare.arrow_columns import column_values
from bedrock_spark.spark.row_bytes import Sizes

# The two characters of each number below 62 squared: half as many steps as with one character. A
# quotient and a product take less time than NumPy's remainder.
_PAIRS = np.frombuffer("".join(a + b for a in ALPHABET for b in ALPHABET).encode(), np.uint16)
_PAIR = np.uint64(len(_PAIRS))


def encode_many(hashes: npt.NDArray[np.int64]) -> bytes:
    """Return the record ids of many 64-bit hashes, one after the other; `encode` for arrays."""
    rest = hashes.view(np.uint64)
    pairs = np.empty((len(rest), (LENGTH + 1) // 2), np.uint16)
    for place in range(pairs.shape[1] - 1, -1, -1):
        quotients = rest // _PAIR
        pairs[:, place] = _PAIRS[rest - quotients * _PAIR]
        rest = quotients
    # An id has an odd number of characters, so the first pair begins with a zero.
    return pairs.view(np.uint8)[:, -LENGTH:].tobytes()


class OnRepeat(Enum):
    """The id of a row whose key an earlier row has.

    SAME: the id of the earlier row, within the bound of a record's rows; the caller decides what
        that means
    OWN: an id of its own; without a key, two rows with the same body are two records
    """

    SAME = "same"
    OWN = "own"


@dataclass
class Identifier:
    """Assigns ids batch by batch. Between two batches it keeps the last row, and no other.

    max_bytes: the most bytes that the rows of one id may have, if they are more than one; None for
        any number
    _hash, _key, _id: of the last row
    _bytes: of the rows that have the last row's id
    _salt: the last salt of the bucket
    """

    bucket: int
    buckets: int
    on_repeat: OnRepeat
    max_bytes: int | None = None
    _hash: int | None = None
    _key: str | None = None
    _id: str = ""
    _bytes: int = 0
    _salt: int = -1

    def identify(
        self, hashes: pa.Array, keys: pa.Array, row_sizes: Sizes | None = None
    ) -> tuple[pa.Array, list[int]]:
        """Return a record id for each row, and the rows whose id an earlier row has.

        row_sizes: the bytes of each row; 0 if they are not given
        """
        row_hashes = hashes.to_numpy()
        sizes = np.zeros(len(row_hashes), np.int64) if row_sizes is None else row_sizes
        if len(row_hashes) and row_hashes[0] != self._hash and np.diff(row_hashes).all():
            # Nearly always all hashes differ: then only the last one must be remembered.
            ids = _id_column(encode_many(row_hashes))
            last_key, last_id = column_values(keys[-1:])[0], ids[-1].as_py()
            self._remember(int(row_hashes[-1]), last_key, int(sizes[-1]), last_id)
            return ids, []
        repeats: list[int] = []
        rows = zip(row_hashes.tolist(), column_values(keys), sizes.tolist(), strict=True)
        row_ids = [self._id_of(*values, row, repeats) for row, values in enumerate(rows)]
        return pa.array(row_ids, pa.string()), repeats

    def identify_unique(self, hashes: pa.Array) -> pa.Array | None:
        """Return a record id for each row; None if two rows have one hash.

        Instead of `identify`, if the bucket is only sorted by hash.
        """
        row_hashes = hashes.to_numpy()
        if not len(row_hashes):
            return _id_column(b"")
        if row_hashes[0] == self._hash or not np.diff(row_hashes).all():
            return None
        self._hash = int(row_hashes[-1])
        return _id_column(encode_many(row_hashes))

    def _id_of(
        self, row_hash: int, key: str | None, size: int, row: int, repeats: list[int]
    ) -> str:
        if row_hash != self._hash:
            return self._remember(row_hash, key, size, encode(row_hash))
        is_repeat = key is not None and key == self._key and self.on_repeat is OnRepeat.SAME
        if is_repeat and (self.max_bytes is None or self._bytes + size <= self.max_bytes):
            repeats.append(row)
            self._bytes += size
            return self._id
        self._salt = max(self._salt + 1, first_salt(row_hash, self.buckets))
        own_id = salted_id(self._salt, self.bucket, self.buckets)
        return self._remember(row_hash, key, size, own_id)

    def _remember(self, row_hash: int, key: str | None, size: int, record_id: str) -> str:
        self._hash, self._key, self._bytes, self._id = row_hash, key, size, record_id
        return record_id


def id_column(hashes: npt.NDArray[np.int64]) -> pa.Array:
    """Return the record ids of many 64-bit hashes as a column."""
    return _id_column(encode_many(hashes))


def _id_column(ids: bytes) -> pa.Array:
    """Return a column of strings from ids that follow each other without a separator."""
    offsets = np.arange(0, len(ids) + 1, LENGTH, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(ids)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
