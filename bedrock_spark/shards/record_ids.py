"""Record ids: 11 characters of [0-9A-Za-z] that anyone can recompute from a row's key.

    key text   the key values, each as text, as a compact JSON array: ["T-1"], ["a",null,"7"]
    hash       XXH64 of its UTF-8 bytes, seed 42: what Spark's xxhash64 gives for a string
    id         the hash as an unsigned number in base 62 (digits, capitals, small letters),
               left-padded with 0 to 11 characters

62^11 is 2.8 times 2^64, so every hash has an id and the ids from 2^64 up are free. They are where
the second of two rows with the same hash goes (`salted_id`). Nothing here depends on partitioning,
order, cores, the Spark version, or on columns that are not keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import xxhash

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 11
SEED = 42
_HASHES = 1 << 64
_FREE = 62**LENGTH - _HASHES
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]


def key_text(values: Sequence[str | None]) -> str:
    """Return the text that is hashed: a compact JSON array of the key values as text."""
    return msgspec.json.encode(list(values)).decode()


def key_hash(text: str) -> int:
    """Return the unsigned 64-bit hash of a key text."""
    return int(xxhash.xxh64_intdigest(text.encode(), seed=SEED))


def body_hash(body: bytes) -> int:
    """Return the signed 64-bit hash of a request body as it stands in the JSONL."""
    hashed = int(xxhash.xxh64_intdigest(body, seed=SEED))
    return hashed - _HASHES if hashed >= _HASHES // 2 else hashed


def encode(number: int) -> str:
    """Write an unsigned number in base 62, 11 characters wide.

    A negative number is taken as the signed form in which the JVM hands over a 64-bit hash.
    """
    if number < 0:
        number += _HASHES
    number, p5 = divmod(number, 3844)
    number, p4 = divmod(number, 3844)
    number, p3 = divmod(number, 3844)
    number, p2 = divmod(number, 3844)
    p0, p1 = divmod(number, 3844)
    return ALPHABET[p0] + _PAIRS[p1] + _PAIRS[p2] + _PAIRS[p3] + _PAIRS[p4] + _PAIRS[p5]


def record_id(values: Sequence[str | None]) -> str:
    """Return the id of the row with these key values."""
    return encode(key_hash(key_text(values)))


def salted_id(text: str, salt: int, bucket: int, buckets: int) -> str:
    """Return an id outside the range of plain ones, for a row whose plain id is taken.

    The number is congruent to the bucket modulo the number of buckets, so salted ids of two buckets
    never meet: uniqueness inside a bucket's task is uniqueness in the run.
    """
    hashed = int(xxhash.xxh64_intdigest(text.encode(), seed=SEED + salt)) % (_FREE - buckets)
    return encode(_HASHES + hashed - hashed % buckets + bucket)
