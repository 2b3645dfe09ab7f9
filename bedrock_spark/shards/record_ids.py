"""Record ids: 11 characters of [0-9A-Za-z] that anyone can recompute from a row's key.

    key text   the key values, each as text, as a compact JSON array: ["T-1"], ["a",null,"7"]
    hash       XXH64 (https://xxhash.com) of its UTF-8 bytes, seed 42: the same number as Spark's
               xxhash64 of a string
    id         the hash as an unsigned number in base 62 (digits, capitals, small letters),
               left-padded with 0 to 11 characters

Hash collisions are resolved by salting. 62^11 is 2.8 times 2^64, so every hash has an id and the
numbers from 2^64 up are free. If two rows have the same hash, the second gets a free number
(`salted_id`), the third the next one. Nothing here depends on partitioning, order, cores, the Spark
version, or columns that are not keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import xxhash

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 11
SEED = 42
_HASH_COUNT = 1 << 64
# Two digits of base 62 at a time need half as many divisions.
_PAIR_COUNT = 62**2
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_DIGITS = {character: digit for digit, character in enumerate(ALPHABET)}


def joined_key(values: Sequence[str | None]) -> str:
    """Return the text that is hashed: a compact JSON array of the key values as text."""
    return msgspec.json.encode(list(values)).decode()


def key_hash(text: str) -> int:
    """Return the unsigned 64-bit hash of a key text."""
    return int(xxhash.xxh64_intdigest(text.encode(), seed=SEED))


def body_hash(body: bytes) -> int:
    """Return the signed 64-bit hash of a request body, byte for byte as it is in the JSONL."""
    unsigned = int(xxhash.xxh64_intdigest(body, seed=SEED))
    return unsigned - _HASH_COUNT if unsigned >= _HASH_COUNT // 2 else unsigned


def encode(number: int) -> str:
    """Return an unsigned number in base 62, 11 characters wide.

    A negative number is read as a 64-bit hash in two's complement, the JVM's form.
    """
    if number < 0:
        number += _HASH_COUNT
    number, p5 = divmod(number, _PAIR_COUNT)
    number, p4 = divmod(number, _PAIR_COUNT)
    number, p3 = divmod(number, _PAIR_COUNT)
    number, p2 = divmod(number, _PAIR_COUNT)
    p0, p1 = divmod(number, _PAIR_COUNT)
    return ALPHABET[p0] + _PAIRS[p1] + _PAIRS[p2] + _PAIRS[p3] + _PAIRS[p4] + _PAIRS[p5]


def decode(text: str) -> int | None:
    """Return the number that `encode` made a text of; None for a text that it makes of none."""
    if len(text) != LENGTH:
        return None
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            return None
        number = number * len(ALPHABET) + digit
    return number


def hash_of_id(text: str) -> int | None:
    """Return the signed 64-bit hash that a record id stands for; None if it is salted, or no id."""
    number = decode(text)
    if number is None or number >= _HASH_COUNT:
        return None
    return number - _HASH_COUNT if number >= _HASH_COUNT // 2 else number


def record_id(values: Sequence[str | None]) -> str:
    """Return the id of the row with these key values."""
    return encode(key_hash(joined_key(values)))


def first_salt(row_hash: int, buckets: int) -> int:
    """Return the salt from which the rows with this hash count up.

    row_hash: a 64-bit hash in two's complement
    It grows with the hash, as the rows of a bucket do, and the salts of two hashes are far apart.
    """
    return (row_hash + _HASH_COUNT // 2) // buckets


def salted_id(salt: int, bucket: int, buckets: int) -> str:
    """Return an id outside the range of plain ids, for a row whose plain id is in use.

    Its number is 2^64 + salt * buckets + bucket. It is congruent to the bucket modulo `buckets`
    (counted from 2^64), so salted ids of two buckets are never equal: ids that are unique in each
    bucket's task are unique in the run.

    Salts begin below 2^64 / buckets (`first_salt`), and the ids end at 62^11. So a bucket has room
    for more than 10^19 / buckets salts behind the last one, more than rows can be.
    """
    return encode(_HASH_COUNT + salt * buckets + bucket)
