"""Record ids: anyone can recompute them from the documented algorithm, as these tests do."""

from __future__ import annotations

import json

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.shards.record_ids import (
    ALPHABET,
    LENGTH,
    body_hash,
    encode,
    first_salt,
    joined_key,
    key_hash,
    record_id,
)
from bedrock_spark.shards.record_ids import salted_id as salted

M = (1 << 64) - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def _rotl(x: int, r: int) -> int:
    return ((x << r) | (x >> (64 - r))) & M


def _round(acc: int, lane: int) -> int:
    return _rotl((acc + lane * P2) & M, 31) * P1 & M


def xxh64(data: bytes, seed: int) -> int:
    """Compute XXH64, written from its specification alone: no library, no table.

    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    at, size = 0, len(data)
    if size >= 32:
        accs = [(seed + P1 + P2) & M, (seed + P2) & M, seed, (seed - P1) & M]
        while at + 32 <= size:
            for i in range(4):
                lane = int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little")
                accs[i] = _round(accs[i], lane)
            at += 32
        acc = sum(_rotl(a, r) for a, r in zip(accs, (1, 7, 12, 18), strict=True)) & M
        for a in accs:
            acc = ((acc ^ _round(0, a)) * P1 + P4) & M
    else:
        acc = (seed + P5) & M
    acc = (acc + size) & M
    while at + 8 <= size:
        acc ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        acc = (_rotl(acc, 27) * P1 + P4) & M
        at += 8
    if at + 4 <= size:
        acc ^= int.from_bytes(data[at : at + 4], "little") * P1 & M
        acc = (_rotl(acc, 23) * P2 + P3) & M
        at += 4
    for byte in data[at:]:
        acc = _rotl(acc ^ (byte * P5 & M), 11) * P1 & M
    acc = (acc ^ (acc >> 33)) * P2 & M
    acc = (acc ^ (acc >> 29)) * P3 & M
    return acc ^ (acc >> 32)


def base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits.rjust(11, "0")


KEYS = [
    ["T-1"],
    ["T-2"],
    [""],
    [None],
    ["null"],
    ["a", None, "7"],
    ["a,b"],
    ["a", "b"],
    ['say "hi"\\\n\t\x00\x1f\x7f'],
    ["Überraschung 日本語 \U0001f600 \u2028\u0085"],
    ["x" * n for n in (31, 32, 33)],
    ["long " * 200],
]


@pytest.mark.parametrize("values", KEYS)
def test_an_id_is_what_the_documented_algorithm_gives(values: list[str | None]) -> None:
    """Compact JSON of the key values, XXH64 with seed 42, base 62: from the docstring alone."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    assert record_id(values) == base62(xxh64(text.encode(), 42))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["T-1"], "2GrFnRZSDSH"),
        (["a", None, "7"], "G7OLh1BFB65"),
        ([], "LgfQ0NbqXKd"),
    ],
)
def test_ids_never_change(values: list[str | None], expected: str) -> None:
    """They are in users' tables: a new version must compute the same ids."""
    assert record_id(values) == expected


@given(st.binary(max_size=100), st.integers(0, M))
def test_the_tests_own_xxh64_is_right(data: bytes, seed: int) -> None:
    """It agrees with the library on every length and seed, so it may judge the code."""
    assert xxh64(data, seed) == xxhash.xxh64_intdigest(data, seed=seed)


@given(st.lists(st.none() | st.text(), max_size=4))
def test_the_joined_key_is_the_compact_json_of_the_values(values: list[str | None]) -> None:
    """So any JSON writer can recompute an id, and two keys never have the same text."""
    text = joined_key(values)
    assert text == json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    assert json.loads(text) == values


@given(st.text())
def test_the_hash_is_of_the_utf8_bytes(text: str) -> None:
    """Unsigned, 64 bits."""
    assert key_hash(text) == xxh64(text.encode(), 42)


@given(st.integers(0, 62**11 - 1))
def test_a_number_is_written_in_eleven_characters_and_can_be_read_back(number: int) -> None:
    """`encode` is injective over all numbers that eleven characters can hold."""
    written = encode(number)
    assert len(written) == LENGTH == 11
    assert set(written) <= set(ALPHABET)
    value = 0
    for character in written:
        value = value * 62 + ALPHABET.index(character)
    assert value == number


@given(st.integers(0, 62**11 - 1), st.integers(0, 62**11 - 1))
def test_ids_are_in_the_order_of_their_numbers(a: int, b: int) -> None:
    """A bucket that is sorted by hash is sorted by id."""
    assert (encode(a) < encode(b)) == (a < b)


@given(st.integers(-(1 << 63), -1))
def test_a_negative_number_has_the_id_of_its_unsigned_form(number: int) -> None:
    """Spark's xxhash64 is a signed number, in two's complement."""
    assert encode(number) == encode(number + (1 << 64))


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "00000000000"),
        (61, "0000000000z"),
        (62, "00000000010"),
        (M, "LygHa16AHYF"),
        (-1, "LygHa16AHYF"),
        (62**11 - 1, "zzzzzzzzzzz"),
    ],
)
def test_the_ends_of_the_range(number: int, written: str) -> None:
    """The largest hash leaves more than half of the ids free."""
    assert encode(number) == written


def number_of(written: str) -> int:
    value = 0
    for character in written:
        value = value * 62 + ALPHABET.index(character)
    return value


BUCKETS = st.integers(1, 100_000).flatmap(
    lambda buckets: st.tuples(st.integers(0, buckets - 1), st.just(buckets))
)


HASHES = st.integers(-(1 << 63), (1 << 63) - 1)
# More rows than any bucket can have.
COUNTS = st.integers(0, 10**13)


@given(HASHES, COUNTS, BUCKETS)
def test_a_salted_id_is_never_a_plain_one(
    row_hash: int, count: int, bucket_and_count: tuple[int, int]
) -> None:
    """Plain ids are numbers below 2^64; salted ids are numbers from 2^64 up."""
    bucket, buckets = bucket_and_count
    number = number_of(salted(first_salt(row_hash, buckets) + count, bucket, buckets))
    assert 1 << 64 <= number < 62**11


@given(COUNTS, COUNTS, BUCKETS, BUCKETS)
def test_salted_ids_of_two_buckets_never_meet(
    salt: int, other_salt: int, bucket_and_count: tuple[int, int], other: tuple[int, int]
) -> None:
    """A task knows the ids of its own bucket only, so other buckets must have other ids."""
    bucket, buckets = bucket_and_count
    number = number_of(salted(salt, bucket, buckets))
    assert (number - (1 << 64)) % buckets == bucket
    other_bucket = other[0] % buckets
    if other_bucket != bucket:
        assert salted(salt, bucket, buckets) != salted(other_salt, other_bucket, buckets)


@given(COUNTS, BUCKETS)
def test_another_salt_gives_another_id(salt: int, bucket_and_count: tuple[int, int]) -> None:
    """Each further row with one hash takes the next salt."""
    assert len({salted(salt + more, *bucket_and_count) for more in range(5)}) == 5


@given(HASHES, HASHES, BUCKETS)
def test_salts_grow_with_the_hash(a: int, b: int, bucket_and_count: tuple[int, int]) -> None:
    """A bucket is sorted by hash, so counting up from the last salt rarely changes a salt."""
    low, high = sorted((a, b))
    assert first_salt(low, bucket_and_count[1]) <= first_salt(high, bucket_and_count[1])


@given(st.binary(max_size=80))
def test_the_hash_of_a_body_is_the_jvms_signed_number(body: bytes) -> None:
    """Spark compares it with its own xxhash64, which is a signed 64-bit number."""
    assert body_hash(body) == int.from_bytes(xxh64(body, 42).to_bytes(8, "big"), "big", signed=True)


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(1, 100_000))
def test_salts_begin_below_the_number_of_hashes_by_buckets(row_hash: int, buckets: int) -> None:
    """So a bucket has room for more than 10^19 / buckets salts behind the last one."""
    assert first_salt(-(1 << 63), buckets) == 0
    assert 0 <= first_salt(row_hash, buckets) <= (1 << 64) // buckets
    last = first_salt((1 << 63) - 1, buckets)
    assert (62**LENGTH - (1 << 64)) // buckets - last > 10**19 // buckets


@pytest.mark.parametrize("unsigned", [0, 1, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, (1 << 64) - 1])
def test_the_hash_of_a_body_is_in_twos_complement(
    unsigned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the JVM has it, at the edges of its range too: Spark's column is a signed number."""
    monkeypatch.setattr(xxhash, "xxh64_intdigest", lambda *_, **__: unsigned)
    signed = int.from_bytes(unsigned.to_bytes(8, "big"), "big", signed=True)
    assert body_hash(b"x") == signed
    assert encode(signed) == encode(unsigned)
