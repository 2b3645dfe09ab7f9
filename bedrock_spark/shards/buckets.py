"""Compute the bucket of a record from its id alone. The record is in one of that bucket's shards.

Buckets are hash partitions, the ones that Spark's `repartition` makes by MurmurHash3 (x86, 32 bits,
seed 42; https://en.wikipedia.org/wiki/MurmurHash):

    plain id     bucket = murmur3(hash) mod buckets, never negative; the id is that 64-bit hash
    salted id    bucket = (number of the id - 2^64) mod buckets (see record_ids.py)
"""

from __future__ import annotations

from math import isqrt

from bedrock_spark.shards.record_ids import decode

_HASH_COUNT = 1 << 64
_SEED = 42
_32_BITS = 0xFFFFFFFF
# MurmurHash3 mixes the length of its input into the hash: a bigint has 8 bytes.
_BIGINT_BYTES = 8


def is_record_id(text: str) -> bool:
    """Tell whether a text has the form of a record id."""
    return decode(text) is not None


def bucket_of(record_id: str, buckets: int) -> int:
    """Return the index of the bucket that a record is in, from 0 to `buckets` - 1.

    Raises ValueError if the text is not a record id.
    """
    number = decode(record_id)
    if number is None:
        raise ValueError(f"{record_id!r}: is not a record id")
    return (number - _HASH_COUNT if number >= _HASH_COUNT else _spark_hash(number)) % buckets


def bucket_of_shard(shard_id: str) -> tuple[int, int]:
    """Return the index of the bucket that a shard was cut from, and the number of buckets.

    The inverse of `layout.bucket_number`: N buckets have the numbers from N(N-1)/2 up. So N is the
    largest number with N(N-1)/2 <= number, which is (1 + sqrt(1 + 8 * number)) / 2, rounded down.
    """
    number = int(shard_id.split("-")[1])
    buckets = (1 + isqrt(1 + 8 * number)) // 2
    return number - buckets * (buckets - 1) // 2, buckets


def _spark_hash(number: int) -> int:
    """Return Spark's `hash` of a bigint, which is given as an unsigned number; signed 32 bits."""
    state = _mix(_mix(_SEED, number & _32_BITS), number >> 32) ^ _BIGINT_BYTES
    state = (state ^ state >> 16) * 0x85EBCA6B & _32_BITS
    state = (state ^ state >> 13) * 0xC2B2AE35 & _32_BITS
    state ^= state >> 16
    return state - (1 << 32) if state >> 31 else state


def _mix(state: int, word: int) -> int:
    word = _rotate_left(word * 0xCC9E2D51 & _32_BITS, 15) * 0x1B873593 & _32_BITS
    return _rotate_left(state ^ word, 13) * 5 + 0xE6546B64 & _32_BITS


def _rotate_left(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _32_BITS
