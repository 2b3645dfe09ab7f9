"""Which bucket a record was dealt into, from its id alone: it lies in one of that bucket's shards.

Prepare deals by Spark's hash partitioning: the murmur3 (x86, 32 bits, seed 42) of the 64-bit hash,
modulo the number of buckets. A plain id is that 64-bit hash, and a salted one is congruent to its
bucket (see record_ids.py).
"""

from __future__ import annotations

from math import isqrt

from bedrock_spark.shards.record_ids import ALPHABET, LENGTH

_HASHES = 1 << 64
_SEED = 42
_32_BITS = 0xFFFFFFFF


def is_record_id(text: str) -> bool:
    """Tell whether a text has the form of a record id."""
    return len(text) == LENGTH and all(character in ALPHABET for character in text)


def bucket_of(record_id: str, buckets: int) -> int:
    """Return which of so many buckets a record lies in, counted from 0."""
    number = 0
    for character in record_id:
        number = number * len(ALPHABET) + ALPHABET.index(character)
    return (number - _HASHES if number >= _HASHES else _spark_hash(number)) % buckets


def bucket_of_shard(shard_id: str) -> tuple[int, int]:
    """Return which bucket a shard was cut from, and of how many: what its number says.

    The inverse of `layout.bucket_number`.
    """
    number = int(shard_id.split("-")[1])
    buckets = (1 + isqrt(1 + 8 * number)) // 2
    return number - buckets * (buckets - 1) // 2, buckets


def _spark_hash(number: int) -> int:
    """Return Spark's `hash` of a bigint, given as an unsigned number."""
    hashed = _mixed(_mixed(_SEED, number & _32_BITS), number >> 32) ^ 8
    hashed = (hashed ^ hashed >> 16) * 0x85EBCA6B & _32_BITS
    hashed = (hashed ^ hashed >> 13) * 0xC2B2AE35 & _32_BITS
    hashed ^= hashed >> 16
    return hashed - (1 << 32) if hashed >> 31 else hashed


def _mixed(state: int, word: int) -> int:
    word = _rotated(word * 0xCC9E2D51 & _32_BITS, 15) * 0x1B873593 & _32_BITS
    return _rotated(state ^ word, 13) * 5 + 0xE6546B64 & _32_BITS


def _rotated(word: int, places: int) -> int:
    return (word << places | word >> (32 - places)) & _32_BITS
