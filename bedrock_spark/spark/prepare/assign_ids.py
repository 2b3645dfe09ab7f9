"""Assign a record id to every row of a bucket, in the order in which the bucket is sorted.

The bucket is sorted by hash and then by key, so rows with equal hashes follow each other. If two
keys have the same hash, the id of the second is salted (see record_ids.py). The caller chooses what
a row gets that repeats a key (OnRepeat).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bedrock_spark.shards.record_ids import ALPHABET, LENGTH, encode, salted_id
from bedrock_spark.spark.prepare.arrow_columns import column_values

_CODES = np.frombuffer(ALPHABET.encode(), np.uint8)


def encode_many(hashes: npt.NDArray[np.int64]) -> bytes:
    """Return the record ids of many 64-bit hashes, one after the other; `encode` for arrays."""
    rest = hashes.view(np.uint64)
    digits = np.empty((len(rest), LENGTH), np.uint8)
    for place in range(LENGTH - 1, -1, -1):
        rest, digit = np.divmod(rest, np.uint64(62))
        digits[:, place] = _CODES[digit]
    return digits.tobytes()


class OnRepeat(Enum):
    """The id of a row whose key an earlier row has.

    SAME: the id of the earlier row; the caller decides what that means
    OWN: an id of its own; without a key, two rows with the same body are two records
    """

    SAME = "same"
    OWN = "own"


@dataclass
class Identifier:
    """Assigns ids batch by batch. Between two batches it keeps the rows of the last hash.

    _hash, _ids: the last hash, and the ids of the keys that have it
    _extra_ids: how many rows with that hash repeat a key, or have none, and got an id of their own
    _salted: all salted ids of the bucket
    """

    bucket: int
    buckets: int
    on_repeat: OnRepeat
    _hash: int | None = None
    _ids: dict[str | None, str] = field(default_factory=dict)
    _extra_ids: int = 0
    _salted: set[str] = field(default_factory=set)

    def identify(self, hashes: pa.Array, keys: pa.Array) -> tuple[pa.Array, list[int]]:
        """Return a record id for each row, and the rows whose id an earlier row has."""
        row_hashes = hashes.to_numpy()
        if len(row_hashes) and row_hashes[0] != self._hash and np.diff(row_hashes).all():
            # Nearly always all hashes differ: then only the last one must be remembered.
            ids = _id_column(encode_many(row_hashes))
            self._start_hash(int(row_hashes[-1]), column_values(keys[-1:])[0], ids[-1].as_py())
            return ids, []
        repeats: list[int] = []
        rows = enumerate(zip(row_hashes.tolist(), column_values(keys), strict=True))
        row_ids = [self._id_of(row_hash, key, row, repeats) for row, (row_hash, key) in rows]
        return pa.array(row_ids, pa.string()), repeats

    def _start_hash(self, row_hash: int, key: str | None, record_id: str) -> str:
        self._hash, self._extra_ids, self._ids = row_hash, 0, {key: record_id}
        return record_id

    def _id_of(self, row_hash: int, key: str | None, row: int, repeats: list[int]) -> str:
        if row_hash != self._hash:
            return self._start_hash(row_hash, key, encode(row_hash))
        if key is not None and key not in self._ids:
            self._ids[key] = self._unused_salted_id(key)
            return self._ids[key]
        if key is not None and self.on_repeat is OnRepeat.SAME:
            repeats.append(row)
            return self._ids[key]
        self._extra_ids += 1
        return self._unused_salted_id(f"{row_hash}#{self._extra_ids}")

    def _unused_salted_id(self, text: str) -> str:
        """Return the id of the first salt, from 1 up, that no row of the bucket has yet."""
        salt = 1
        while (candidate := salted_id(text, salt, self.bucket, self.buckets)) in self._salted:
            salt += 1
        self._salted.add(candidate)
        return candidate


def _id_column(ids: bytes) -> pa.Array:
    """Return a column of strings from ids that follow each other without a separator."""
    offsets = np.arange(0, len(ids) + 1, LENGTH, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(ids)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
