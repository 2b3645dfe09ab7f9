"""Record ids of a bucket: unique, the same for the same rows, and with little memory."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.shards.buckets import bucket_of
from bedrock_spark.shards.record_ids import encode
from bedrock_spark.spark.prepare.assign_ids import Identifier, OnRepeat, id_column

Row = tuple[int, str | None]
BUCKET, BUCKETS = 2, 7
MOST = (1 << 63) - 1


def identify(
    rows: Sequence[Row], width: int, on_repeat: OnRepeat = OnRepeat.OWN
) -> tuple[list[str], list[int], Identifier]:
    """Sort rows as Spark does, and identify them in batches of `width`.

    Returns the ids, the rows whose id an earlier row has, and the Identifier.
    """
    rows = sorted(rows, key=lambda row: (row[0], row[1] is not None, row[1] or ""))
    identifier = Identifier(BUCKET, BUCKETS, on_repeat)
    ids: list[str] = []
    repeats: list[int] = []
    for start in range(0, len(rows), width):
        batch = rows[start : start + width]
        hashes = pa.array([row_hash for row_hash, _ in batch], pa.int64())
        keys = pa.array([key for _, key in batch], pa.string())
        made, repeated = identifier.identify(hashes, keys)
        ids += made.to_pylist()
        repeats += [start + row for row in repeated]
    return ids, repeats, identifier


# Few hashes, so that many rows have one; some beside each other and at both ends of the range.
HASHES = st.sampled_from([-MOST - 1, -MOST, -3, -2, 0, 1, 2, 5, 10**15, MOST - 1, MOST])
ROWS = st.lists(st.tuples(HASHES, st.none() | st.sampled_from("abc")), max_size=60)


@given(st.lists(st.integers(-MOST - 1, MOST) | HASHES | st.integers(-4000, 4000)))
def test_ids_of_many_hashes_are_those_of_each(hashes: list[int]) -> None:
    ids = id_column(np.array(hashes, np.int64))
    ids.validate(full=True)
    assert ids.to_pylist() == [encode(row_hash) for row_hash in hashes]


@given(ROWS, st.integers(1, 60))
def test_every_row_has_an_id_of_its_own(rows: list[Row], width: int) -> None:
    """Unique in the bucket and of this bucket, in any batches; the first of a hash is plain."""
    ids, repeats, _ = identify(rows, width)
    assert repeats == []
    assert len(set(ids)) == len(rows)
    plain = {encode(row_hash) for row_hash, _ in rows}
    assert plain <= set(ids)
    assert all(bucket_of(salted, BUCKETS) == BUCKET for salted in set(ids) - plain)


@given(ROWS, st.integers(1, 60), st.randoms(use_true_random=False))
def test_the_same_rows_have_the_same_ids_in_any_order(
    rows: list[Row], width: int, random: object
) -> None:
    """The source may be stored in another order, and the session may make other batches."""
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert identify(shuffled, width)[0] == identify(rows, 1000)[0]


@given(ROWS, st.integers(1, 60))
def test_rows_with_one_key_share_an_id(rows: list[Row], width: int) -> None:
    """If the caller asks for that: each key has one id, and each repeat of it is reported."""
    keyed = [(row_hash, key or "d") for row_hash, key in rows]
    ids, repeats, _ = identify(keyed, width, OnRepeat.SAME)
    by_key = dict(zip(sorted(keyed), ids, strict=True))
    assert len(set(by_key.values())) == len(by_key) == len(ids) - len(repeats)
    assert all(by_key[row] == record_id for row, record_id in zip(sorted(keyed), ids, strict=True))


@given(ROWS, st.integers(1, 60))
def test_unique_hashes_need_no_keys(rows: list[Row], width: int) -> None:
    """The ids are those that keys would give; if a hash repeats, some batch has no ids."""
    hashes = sorted(row_hash for row_hash, _ in rows)
    identifier = Identifier(BUCKET, BUCKETS, OnRepeat.SAME)
    made = [
        identifier.identify_unique(pa.array(hashes[start : start + width], pa.int64()))
        for start in range(0, len(hashes), width)
    ]
    if len(set(hashes)) < len(hashes):
        assert None in made
    else:
        assert [i for ids in made for i in ids.to_pylist()] == [encode(h) for h in hashes]


SIZED = st.lists(st.tuples(HASHES, st.sampled_from("ab"), st.integers(0, 9)), max_size=60)


@given(SIZED, st.integers(1, 60), st.integers(0, 30))
def test_the_rows_that_share_an_id_have_a_bound(
    rows: list[tuple[int, str, int]], width: int, most: int
) -> None:
    """The row that would exceed it has the next id of its key, in any batches."""
    rows.sort(key=lambda row: row[:2])
    identifier = Identifier(BUCKET, BUCKETS, OnRepeat.SAME, most)
    ids: list[str] = []
    shared: list[int] = []
    for start in range(0, len(rows), width):
        batch = rows[start : start + width]
        hashes = pa.array([row_hash for row_hash, _, _ in batch], pa.int64())
        keys = pa.array([key for _, key, _ in batch], pa.string())
        made, repeated = identifier.identify(hashes, keys, np.array([s for *_, s in batch]))
        ids += made.to_pylist()
        shared += [start + row for row in repeated]
    expected: list[list[int]] = []  # next-fit, key by key
    for row, (row_hash, key, size) in enumerate(rows):
        is_repeat = row > 0 and rows[row - 1][:2] == (row_hash, key)
        if is_repeat and sum(rows[r][2] for r in expected[-1]) + size <= most:
            expected[-1].append(row)
        else:
            expected.append([row])
    assert [len({ids[row] for row in group}) for group in expected] == [1] * len(expected)
    assert len(set(ids)) == len(expected)
    assert shared == [row for group in expected for row in group[1:]]


@pytest.mark.parametrize("on_repeat", OnRepeat)
def test_rows_of_different_hashes_have_the_ids_of_their_hashes(on_repeat: OnRepeat) -> None:
    """A source without repeats has no salted id."""
    hashes = np.sort(np.random.default_rng(3).integers(-MOST, MOST, 5_000)).tolist()
    ids, repeats, _ = identify([(h, str(h)) for h in hashes], 700, on_repeat)
    assert (ids, repeats) == ([encode(h) for h in hashes], [])


def test_salts_that_reach_the_next_hash_count_on() -> None:
    """Ids of a body that is repeated more often than its hash has room for stay unique."""
    ids, _, _ = identify([(1, "a")] * 500 + [(2, "b")] * 500 + [(200, "c")] * 500, 64)
    assert len(set(ids)) == 1_500


@pytest.mark.parametrize("key", ["sha256 of the body", None])
def test_repeats_take_no_memory(key: str | None) -> None:
    """A hundred thousand rows with one body leave an Identifier as small as two rows do."""
    _, _, small = identify([(5, key)] * 2, 1_000)
    _, _, large = identify([(5, key)] * 100_000, 1_000)
    assert len(pickle.dumps(large)) <= len(pickle.dumps(small)) + 16
