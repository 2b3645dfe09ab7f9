"""Arrow columns become Python values: by type, in any slice, and without an exception."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.prepare.arrow_columns import OUT_OF_RANGE, column_values
from bedrock_spark.templates.json_values import NOT_UTF8, Struct, Unreadable

MAP = pa.map_(pa.string(), pa.int64())
NESTED = pa.list_(pa.struct([("m", pa.map_(pa.int32(), MAP)), ("n", pa.string())]))
# A valid text, one with a byte that is no UTF-8, a null, and an encoded surrogate. Arrow accepts
# them unchecked, as it does when Spark passes them.
NOT_TEXT = pa.array([b"fine", b"A\xff", None, b"\xed\xa0\x80"]).view(pa.string())


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array(["a", None, ""]), ["a", None, ""]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array([b"a", None], pa.large_binary()), [b"a", None]),
        (pa.array([1, None], pa.int8()), [1, None]),
        (pa.array([True, None]), [True, None]),
        (pa.array([None, None]), [None, None]),
        (pa.array([0.1, None, 16777216, 1e-45], pa.float32()), [0.1, None, 16777216.0, 1e-45]),
        (pa.array([Decimal("1.10")]), [Decimal("1.10")]),
        (pa.array([dt.date(2026, 1, 2)]), [dt.date(2026, 1, 2)]),
        (pa.array([10**6], pa.timestamp("us")), [dt.datetime(1970, 1, 1, 0, 0, 1)]),
        (
            pa.array([10**6], pa.timestamp("us", "America/New_York")),
            [dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)],
        ),
        (pa.array([10**6], pa.timestamp("us", "no/such zone")), [
            dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
        ]),
        (pa.array([1], pa.duration("us")), [dt.timedelta(microseconds=1)]),
        (pa.array([1000], pa.time64("ns")), [dt.time(0, 0, 0, 1)]),
        (pa.array([[1], None, []]), [[1], None, []]),
        (pa.array([[1]], pa.large_list(pa.int64())), [[1]]),
        (pa.array([[("a", 1)], None, []], MAP), [{"a": 1}, None, {}]),
        (pa.array([{"a": 1}, None, {"a": None}]), [{"a": 1}, None, {"a": None}]),
        (pa.array([{}, {}], pa.struct([])), [{}, {}]),
        (
            pa.array([[{"m": [(7, [("k", 1)])], "n": None}], None], NESTED),
            [[{"m": {"7": {"k": 1}}, "n": None}], None],
        ),
    ],
)  # fmt: skip
def test_every_type_becomes_its_value(array: pa.Array, values: list[Any]) -> None:
    """A map becomes a dict with text keys at any depth; a moment is in UTC."""
    assert column_values(array) == values
    assert [type(v) for v in column_values(array.slice(0, 0))] == []


def test_structs_and_maps_have_different_types() -> None:
    """JSON leaves out a null field of a struct, but keeps a null value of a map."""
    values = column_values(pa.array([[{"m": [(7, [("k", 1)])], "n": None}]], NESTED))
    (struct,) = values[0]
    assert (type(struct), type(struct["m"]), type(struct["m"]["7"])) == (Struct, dict, dict)


@pytest.mark.parametrize(
    "array",
    [
        NOT_TEXT,
        NOT_TEXT.cast(pa.binary()).view(pa.string()),
        pa.ListArray.from_arrays([0, 1, 2, 3, 4], NOT_TEXT),
        pa.StructArray.from_arrays([NOT_TEXT, pa.array([1, 2, 3, 4])], ["t", "n"]),
        pa.MapArray.from_arrays([0, 1, 2, 3, 4], pa.array(list("abcd")), NOT_TEXT),
    ],
    ids=["text", "again", "list", "struct", "map"],
)
def test_text_that_is_not_utf_8_is_unreadable_in_its_own_row(array: pa.Array) -> None:
    """At any depth; the other rows keep their values."""
    good, bad, none, surrogate = column_values(array)
    assert (bad, surrogate) == (Unreadable(NOT_UTF8), Unreadable(NOT_UTF8))
    assert not isinstance(good, Unreadable)
    assert not isinstance(none, Unreadable)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([0, 10**7, None], pa.int32()).view(pa.date32()),
        pa.array([0, -(10**7), None], pa.int32()).view(pa.date32()),
        pa.array([0, 2**63 - 1, None]).view(pa.timestamp("us", "Europe/Berlin")),
        pa.array([0, -(2**63), None]).view(pa.timestamp("us")),
    ],
)
def test_a_time_outside_of_pythons_range_is_unreadable(array: pa.Array) -> None:
    """Python has the years 1 to 9999, Spark those from -290308 to 294247."""
    good, bad, none = column_values(array)
    assert (bad, none) == (Unreadable(OUT_OF_RANGE), None)
    assert good.year == 1970


def test_a_map_key_without_a_text_form_is_unreadable() -> None:
    """A map's keys become text when the map is read."""
    array = pa.array([[(1.5, 1)], [(float("nan"), 1)]], pa.map_(pa.float64(), pa.int64()))
    good, bad = column_values(array)
    assert good == {"1.5": 1}
    assert bad == Unreadable("is not a finite number, which JSON cannot hold")


ROWS = st.lists(
    st.none()
    | st.lists(
        st.none()
        | st.fixed_dictionaries(
            {
                "m": st.none()
                | st.dictionaries(
                    st.integers(-9, 9), st.none() | st.dictionaries(st.text(), st.integers(0, 9))
                ),
                "n": st.none() | st.text(),
            }
        ),
        max_size=3,
    ),
    max_size=8,
)


def as_arrow(value: Any) -> Any:
    """Write maps as lists of pairs, which is how Arrow accepts them."""
    if isinstance(value, list):
        return [as_arrow(v) for v in value]
    if isinstance(value, dict) and set(value) == {"m", "n"}:
        return {"m": as_arrow(value["m"]), "n": value["n"]}
    return [(k, as_arrow(v)) for k, v in value.items()] if isinstance(value, dict) else value


def with_text_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [with_text_keys(v) for v in value]
    return (
        {str(k): with_text_keys(v) for k, v in value.items()} if isinstance(value, dict) else value
    )


@given(ROWS, st.integers(0, 8), st.integers(0, 8))
def test_any_slice_of_nested_data_has_the_values_of_its_rows(
    rows: list[Any], start: int, length: int
) -> None:
    """Arrow's slices share their child arrays: a slice must not read its neighbour's values."""
    array = pa.array(as_arrow(rows), NESTED)
    expected = with_text_keys(rows)
    assert column_values(array) == expected
    assert column_values(array.slice(start, length)) == expected[start : start + length]
