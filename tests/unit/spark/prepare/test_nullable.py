"""Fields that Spark declares NOT NULL inside values that are null."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.spark.prepare.nullable import with_nullable_fields

STRICT = pa.struct([pa.field("a", pa.int32(), nullable=False)])
NULL_STRUCT = pa.StructArray.from_arrays(
    [pa.array([1, None], pa.int32())], fields=list(STRICT), mask=pa.array([False, True])
)
COLUMNS: list[tuple[pa.Array, list[Any]]] = [
    (NULL_STRUCT, [{"a": 1}, None]),
    (
        pa.ListArray.from_arrays([0, 1, 2], NULL_STRUCT),
        [[{"a": 1}], [None]],
    ),
    (
        pa.MapArray.from_arrays([0, 1, 2], pa.array(["x", "y"]), NULL_STRUCT),
        [[("x", {"a": 1})], [("y", None)]],
    ),
    (
        pa.array([[({"a": 1}, "x"), ({"a": 2}, None)], None], pa.map_(STRICT, pa.string())),
        [[({"a": 1}, "x"), ({"a": 2}, None)], None],
    ),
    (pa.array([1, None]), [1, None]),
]


@pytest.mark.parametrize(("column", "values"), COLUMNS)
def test_a_null_around_a_field_that_is_not_null_can_be_written(
    column: pa.Array, values: list[Any]
) -> None:
    """Parquet takes it, and returns the same values."""
    batch = pa.RecordBatch.from_arrays([column], schema=pa.schema([("v", column.type)]))
    nullable = with_nullable_fields(batch)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([nullable]), file)
    assert pq.read_table(file)["v"].to_pylist() == values


def test_plain_columns_are_not_touched() -> None:
    """They are most columns, and are not copied."""
    batch = pa.RecordBatch.from_pydict({"a": [1, None], "b": ["x", "y"]})
    assert with_nullable_fields(batch) is batch
