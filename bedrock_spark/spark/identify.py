"""Give every row of a bucket its record id, in the order in which the bucket is sorted.

Equal hashes stand side by side, because the bucket is sorted by hash. With a key, the same key
again is a duplicate and another key of the same hash is salted. Without one, rows that ask the
same are told apart by salting every one after the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bedrock_spark.record_ids import encode, encode_many, salted_id

MAX_EXAMPLES = 10


@dataclass
class Identifier:
    """What must be remembered between two batches of one bucket."""

    bucket: int
    buckets: int
    duplicates: int = 0
    examples: list[str] = field(default_factory=list)
    _hash: int | None = None
    _keys: set[str] = field(default_factory=set)
    _equal: int = 0
    _salted: set[str] = field(default_factory=set)

    def identify(self, hashes: Sequence[int], keys: Sequence[str | None]) -> list[str]:
        """Return a record id for each row. A duplicate key gets one too, and is counted."""
        if len(set(hashes)) == len(hashes) and hashes and hashes[0] != self._hash:
            # As a rule all are different; then nothing is to be remembered but the last.
            *_, self._hash = hashes
            self._keys, self._equal = {k for k in keys[-1:] if k is not None}, 0
            return encode_many(hashes)
        return [self._id(h, k) for h, k in zip(hashes, keys, strict=True)]

    def _id(self, hashed: int, key: str | None) -> str:
        if hashed != self._hash:
            self._hash, self._equal = hashed, 0
            self._keys = {key} if key is not None else set()
            return encode(hashed)
        self._equal += 1
        if key is None:
            return self._salt(f"{hashed}#{self._equal}")
        if key in self._keys:
            self.duplicates += 1
            if len(self.examples) < MAX_EXAMPLES and key not in self.examples:
                self.examples.append(key)
            return encode(hashed)
        self._keys.add(key)
        return self._salt(key)

    def _salt(self, text: str) -> str:
        salt = 1
        while (candidate := salted_id(text, salt, self.bucket, self.buckets)) in self._salted:
            salt += 1
        self._salted.add(candidate)
        return candidate
