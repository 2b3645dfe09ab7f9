"""Results become rows of the store of answers: one a record, under the hash of its body."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.shards.record_ids import body_hash, encode, salted_id
from bedrock_spark.spark.keep.rows import answers_of, hashes_of, is_hash, merged
from bedrock_spark.spark.keep.task import _Counted

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
HASHES = st.integers(LOWEST, HIGHEST)
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([None, 0.0, 0.5, 2.0])))


@given(st.lists(HASHES | st.sampled_from([LOWEST, -1, 0, 1, HIGHEST]), max_size=9), st.data())
def test_a_record_id_tells_the_hash_of_its_body(hashes: list[int], data: st.DataObject) -> None:
    """In any slice of a column."""
    start = data.draw(st.integers(0, len(hashes)))
    ids = pa.array([encode(hashed) for hashed in hashes], pa.string()).slice(start)
    assert is_hash(ids).to_pylist() == [True] * len(ids)
    assert hashes_of(ids).tolist() == hashes[start:]


def test_a_body_has_the_hash_that_its_record_id_tells() -> None:
    body = b'{"messages":[]}'
    assert hashes_of(pa.array([encode(body_hash(body))])).tolist() == [body_hash(body)]


@pytest.mark.parametrize("record_id", [None, "", "a", "0" * 10, "0" * 12, "z" * 11])
def test_what_is_no_hash_is_not_kept(record_id: str | None) -> None:
    """The id of a rejected row, and salted ones: those of a second body with the same hash."""
    assert is_hash(pa.array([record_id], pa.string())).to_pylist() == [False]


@given(st.integers(0, 1 << 50), st.integers(1, 1_000), st.data())
def test_a_salted_id_is_no_hash(salt: int, buckets: int, data: st.DataObject) -> None:
    bucket = data.draw(st.integers(0, buckets - 1))
    assert is_hash(pa.array([salted_id(salt, bucket, buckets)])).to_pylist() == [False]


def batch_of(rows: list[tuple[str, float | None]]) -> pa.RecordBatch:
    """Return rows with these records and costs."""
    values = [
        dict.fromkeys(SCHEMA.names)
        | {"record_id": encode(ord(name)), "cost_usd": cost, "model_output": f"{name}{number}"}
        for number, (name, cost) in enumerate(rows)
    ]
    results = pa.RecordBatch.from_pylist(values, SCHEMA)
    return answers_of(results.select([name for name in SCHEMA.names if name != "body_hash"]))


def expected_of(rows: list[tuple[str, float | None]]) -> list[tuple[int, float | None, str]]:
    def each() -> Iterator[tuple[int, float | None, str]]:
        for name, own in groupby(enumerate(rows), key=lambda row: row[1][0]):
            pairs = list(own)
            costs = [cost for _, (_, cost) in pairs if cost is not None]
            whole = sum(costs) if len(costs) == len(pairs) else None
            yield ord(name), whole, f"{name}{pairs[0][0]}"

    return list(each())


def shown(batches: list[pa.RecordBatch]) -> list[tuple[int, float | None, str]]:
    names = ("body_hash", "cost_usd", "model_output")
    rows = pa.Table.from_batches(batches, SCHEMA).to_pylist()
    return [(row[names[0]], row[names[1]], row[names[2]]) for row in rows]


@given(ROWS)
def test_rows_that_share_a_record_become_one(rows: list[tuple[str, float | None]]) -> None:
    """Its cost is the sum of their parts: what the answer has cost."""
    assert shown([merged(batch_of(rows))]) == expected_of(rows)


@given(ROWS.filter(bool), st.data())
def test_rows_of_a_record_may_be_in_several_batches(
    rows: list[tuple[str, float | None]], data: st.DataObject
) -> None:
    """The file has one row of them, wherever the batches end."""
    ordered = sorted(rows, key=lambda row: row[0])
    cuts = sorted(data.draw(st.lists(st.integers(1, len(ordered)), max_size=3)))
    whole = batch_of(ordered)
    pairs = zip([0, *cuts], [*cuts, len(ordered)], strict=True)
    first, *rest = [whole.slice(start, stop - start) for start, stop in pairs if start < stop]
    counted = _Counted(first, iter(rest))
    assert shown(list(counted)) == expected_of(ordered)
    assert counted.rows == len({name for name, _ in rows})
