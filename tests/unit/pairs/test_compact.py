"""Compact rows: equal values have equal hashes, whatever their types and tables."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from bedrock_spark.pairs.compact import compact, place_of
from bedrock_spark.pairs.plain_values import number_of, text_of
from bedrock_spark.pairs.sides import Column, Place, Side

NUMBER, TEXT = (Column("v", ("v", "v", "v"), is_number=is_number) for is_number in (True, False))


def hashes(values: pa.Array, column: Column, place: Place = Place.A) -> list[int | None]:
    """Return the hashes of a column."""
    batch = pa.RecordBatch.from_pydict({"id": [str(i) for i in range(len(values))], "v": values})
    found = compact(batch, Side(place, ("id",), (column,)), 0, 0)
    exact: list[int | None] = found.column("exact_0").to_pylist()
    return exact


@pytest.mark.parametrize(
    "values",
    [
        pa.array([5, 0], pa.int8()),
        pa.array([5.0, -0.0]),
        pa.array([5, 0], pa.float32()),
        pa.array([Decimal("5.00"), Decimal(0)]),
        pa.array(["5", "0"]),
        pa.array(["5.0", "0.00"]),
        pa.array(["+05", "-0"]),
    ],
    ids=lambda values: str(values.type),
)
def test_equal_numbers_of_different_types_are_equal(values: pa.Array) -> None:
    assert hashes(values, NUMBER) == hashes(pa.array([5, 0]), NUMBER)


def test_a_fraction_of_32_bits_is_that_of_64_bits() -> None:
    assert hashes(pa.array([0.1], pa.float32()), NUMBER) == hashes(pa.array([0.1]), NUMBER)


def test_large_integers_are_not_rounded() -> None:
    one, other = hashes(pa.array([2**60, 2**60 + 1]), NUMBER)
    assert one != other


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pa.array([True]), "true"),
        (pa.array([dt.date(2026, 11, 1)]), "2026-11-01"),
        (pa.array([["a", "b"]]), '["a", "b"]'),
        (pa.array([{"b": 1, "a": None}]), '{"a": null, "b": 1}'),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array(["x"], pa.large_string()), "x"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_values_are_compared_as_texts(array: pa.Array, text: str) -> None:
    assert hashes(array, TEXT) == hashes(pa.array([text]), TEXT)


def test_no_value_has_no_hash() -> None:
    assert hashes(pa.array([None, ""], pa.string()), TEXT)[0] is None
    assert hashes(pa.nulls(2), TEXT) == [None, None]


@pytest.mark.parametrize(
    "keys",
    [
        pa.array([7, None]),
        pa.array([7.0, None]),
        pa.array([Decimal("7.00"), None]),
        pa.array(["7", None]),
        pa.array(["7", None], pa.large_string()),
    ],
)
def test_keys_are_equal_as_texts(keys: pa.Array) -> None:
    """A row without a key is alone, and its outcome is a code of its own."""
    found = []
    for place in (Place.A, Place.GOLD):
        batch = pa.RecordBatch.from_pydict({"id": keys, "v": ["x", "x"]})
        found.append(compact(batch, Side(place, ("id",), (TEXT,)), 3, 8))
    expected = pa.RecordBatch.from_pydict({"id": ["7"], "v": ["x"]})
    (key,) = compact(expected, Side(Place.A, ("id",), (TEXT,)), 0, 0).column("k1").to_pylist()
    assert [each.column("k1")[0].as_py() for each in found] == [key, key]
    assert len({each.column("k1")[1].as_py() for each in found} | {key}) == 3
    assert [each.column("k2")[0].as_py() & 3 for each in found] == [0, 2]
    assert place_of(found[0].column("place")[1].as_py()) == (3, 9)


def test_columns_of_a_key_are_not_run_together() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x", "xy"], "b": ["yz", "z"], "v": ["", ""]})
    first, second = compact(batch, Side(Place.A, ("a", "b"), (TEXT,)), 0, 0).column("k1")
    assert first != second


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1.5", 1.5),
        ("x", None),
        ("1_0", None),
        (True, None),
        (float("nan"), None),
        (1e300, None),
        (None, None),
    ],
)
def test_what_is_a_number(value: Any, number: float | None) -> None:
    assert number_of(value) == number


def test_bytes_have_a_text() -> None:
    assert text_of(b"\x01") == "01"


@pytest.mark.parametrize(
    ("number", "text"), [("70", "70"), ("7.10", "7.1"), ("-0.00", "0"), ("1E+3", "1000")]
)
def test_a_decimal_has_the_text_of_an_equal_number(number: str, text: str) -> None:
    assert text_of(Decimal(number)) == text


def test_a_count_that_a_float_would_round_is_rounded() -> None:
    """A service may say anything: one strange count must not end the comparison."""
    measure = Column("tokens", ("tokens", "tokens", None), is_number=True, is_measure=True)
    batch = pa.RecordBatch.from_pydict({"id": ["a"], "tokens": [2**62 + 1]})
    found = compact(batch, Side(Place.A, ("id",), (measure,)), 0, 0)
    assert found.column("number_0").to_pylist() == [2.0**62]
