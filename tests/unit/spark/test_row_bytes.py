"""The bytes of a row in memory depend on its values alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.row_bytes import row_bytes

# Values of a type, each with its bytes.
CASES: dict[str, tuple[pa.DataType, list[tuple[Any, int]]]] = {
    "text": (pa.string(), [("", 4), ("é", 6), (None, 4), ("x" * 1000, 1004)]),
    "large text": (pa.large_string(), [("ab", 6)]),
    "bytes": (pa.binary(), [(b"", 4), (b"abc", 7), (None, 4)]),
    "number": (pa.int64(), [(1, 8), (None, 8)]),
    "flag": (pa.bool_(), [(True, 1)]),
    "decimal": (pa.decimal128(20, 2), [(None, 16)]),
    "time": (pa.timestamp("us", "UTC"), [(5, 8)]),
    "nothing": (pa.null(), [(None, 0)]),
    "list": (pa.list_(pa.string()), [([], 4), (["ab", None], 14), (None, 4), (["c"], 9)]),
    "list of lists": (pa.list_(pa.list_(pa.int32())), [([[1, 2], []], 20), ([None], 8)]),
    "struct": (
        pa.struct([("a", pa.string()), ("b", pa.int32())]),
        [({"a": "xyz", "b": 1}, 11), ({"a": None, "b": None}, 8)],
    ),
    "map": (pa.map_(pa.string(), pa.int64()), [([("k", 1), ("long", 2)], 33), ([], 4), (None, 4)]),
    "fixed list": (pa.list_(pa.int64(), 2), [([1, 2], 20)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_bytes_of_a_value(name: str) -> None:
    """Its own bytes, and four for an offset if its type has offsets."""
    kind, values = CASES[name]
    column = pa.array([value for value, _ in values], kind)
    batch = pa.RecordBatch.from_arrays([column], names=["v"])
    assert row_bytes(batch).tolist() == [size for _, size in values]


ROWS = st.lists(
    st.tuples(
        st.none() | st.text(max_size=9),
        st.none() | st.lists(st.none() | st.text(max_size=5), max_size=4),
        st.none() | st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=3),
    ),
    max_size=20,
)
TYPES = (pa.string(), pa.list_(pa.string()), pa.map_(pa.string(), pa.int64()))


@given(ROWS, st.integers(0, 20), st.integers(0, 20))
def test_a_row_has_the_same_bytes_in_every_batch(
    rows: list[tuple[Any, ...]], start: int, length: int
) -> None:
    """In a slice as in the whole, though a slice has the buffers of the whole."""
    columns = [
        pa.array([row[i] if i < 2 or row[i] is None else [*row[i].items()] for row in rows], kind)
        for i, kind in enumerate(TYPES)
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=["a", "b", "c"])
    expected = row_bytes(batch).tolist()[start : start + length]
    assert row_bytes(batch.slice(start, length)).tolist() == expected
