"""Which columns of files are cast to the types of Spark."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bedrock_spark.spark.local_shuffle.column_types import is_stored_as

UTC, BERLIN = pa.timestamp("ms", "UTC"), pa.timestamp("us", "Europe/Berlin")
NAIVE = pa.timestamp("us")
NESTED_KEYS = pa.map_(pa.struct([("a", pa.int64())]), pa.string())
# A type in a file, the type that Spark has, and whether one becomes the other.
PAIRS: list[tuple[pa.DataType, pa.DataType, bool]] = [
    (pa.int32(), pa.int32(), True),
    (pa.int32(), pa.int64(), False),
    (pa.large_string(), pa.string(), True),
    (pa.binary(), pa.string(), False),
    (pa.dictionary(pa.int32(), pa.large_string()), pa.string(), True),
    (UTC, BERLIN, True),
    (NAIVE, BERLIN, False),
    (UTC, NAIVE, False),
    (pa.decimal128(9, 2), pa.decimal128(9, 3), False),
    (pa.list_(UTC), pa.list_(BERLIN), True),
    (pa.large_list(pa.large_string()), pa.list_(pa.string()), True),
    (pa.list_(pa.int8()), pa.list_(pa.int16()), False),
    (pa.struct([("a", UTC)]), pa.struct([("a", BERLIN)]), True),
    (pa.struct([("a", UTC)]), pa.struct([("A", BERLIN)]), False),
    (pa.struct([("a", UTC)]), pa.struct([("a", BERLIN), ("b", UTC)]), False),
    (pa.map_(pa.string(), pa.int64()), pa.map_(pa.string(), pa.int64()), True),
    (pa.map_(pa.string(), UTC), pa.map_(pa.string(), BERLIN), False),
    (NESTED_KEYS, NESTED_KEYS, True),
    # To cast the struct would cast the map, too.
    (
        pa.struct([("m", NESTED_KEYS), ("t", pa.large_string())]),
        pa.struct([("m", NESTED_KEYS), ("t", pa.string())]),
        False,
    ),
]


@pytest.mark.parametrize(("kind", "wanted", "is_it"), PAIRS, ids=str)
def test_a_cast_changes_no_value(kind: pa.DataType, wanted: pa.DataType, is_it: bool) -> None:
    assert is_stored_as(kind, wanted) is is_it
