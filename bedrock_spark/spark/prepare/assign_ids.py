"""Give every row of a bucket its record id, in the order in which the bucket is sorted.

Equal hashes stand side by side, because the bucket is sorted by hash and then by key. Another key
of the same hash is salted. What becomes of the same key again is the caller's to say.
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
    """Do as `encode` does for many 64-bit hashes at once: their texts, one after the other."""
    rest = hashes.view(np.uint64)
    digits = np.empty((len(rest), LENGTH), np.uint8)
    for place in range(LENGTH - 1, -1, -1):
        rest, digit = np.divmod(rest, np.uint64(62))
        digits[:, place] = _CODES[digit]
    return digits.tobytes()


# So many repeated keys are named, at most.
MAX_EXAMPLES = 10


class OnRepeat(Enum):
    """What a row gets whose key an earlier row has.

    SAME: the id of the earlier row; the caller says what that means
    OWN: an id of its own; without a key, two rows that ask the same are two records
    """

    SAME = "same"
    OWN = "own"


@dataclass
class Identifier:
    """What must be remembered between two batches of one bucket."""

    bucket: int
    buckets: int
    on_repeat: OnRepeat
    _hash: int | None = None
    _ids: dict[str | None, str] = field(default_factory=dict)
    _equal: int = 0
    _salted: set[str] = field(default_factory=set)

    def identify(self, hashes: pa.Array, keys: pa.Array) -> tuple[pa.Array, list[int]]:
        """Return a record id for each row, and which rows have one that an earlier row has."""
        numbers = hashes.to_numpy()
        if len(numbers) and numbers[0] != self._hash and np.diff(numbers).all():
            # As a rule all are different; then nothing is to be remembered but the last.
            ids = _texts(encode_many(numbers))
            self._begin(int(numbers[-1]), column_values(keys[-1:])[0], ids[-1].as_py())
            return ids, []
        repeats: list[int] = []
        rows = enumerate(zip(numbers.tolist(), column_values(keys), strict=True))
        found = [self._id(hashed, key, row, repeats) for row, (hashed, key) in rows]
        return pa.array(found, pa.string()), repeats

    def _begin(self, hashed: int, key: str | None, record_id: str) -> str:
        self._hash, self._equal, self._ids = hashed, 0, {key: record_id}
        return record_id

    def _id(self, hashed: int, key: str | None, row: int, repeats: list[int]) -> str:
        if hashed != self._hash:
            return self._begin(hashed, key, encode(hashed))
        if key is not None and key not in self._ids:
            self._ids[key] = self._salt(key)
            return self._ids[key]
        if key is not None and self.on_repeat is OnRepeat.SAME:
            repeats.append(row)
            return self._ids[key]
        self._equal += 1
        return self._salt(f"{hashed}#{self._equal}")

    def _salt(self, text: str) -> str:
        salt = 1
        while (candidate := salted_id(text, salt, self.bucket, self.buckets)) in self._salted:
            salt += 1
        self._salted.add(candidate)
        return candidate


def _texts(ids: bytes) -> pa.Array:
    """Return ids that lie one after the other as a column."""
    begins = np.arange(0, len(ids) + 1, LENGTH, dtype=np.int32)
    buffers = [None, pa.py_buffer(begins), pa.py_buffer(ids)]
    return pa.Array.from_buffers(pa.string(), len(begins) - 1, buffers)
