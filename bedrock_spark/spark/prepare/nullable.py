"""Let every field of a column be null.

In Spark, the fields of a struct may be NOT NULL although the struct itself may be null. Arrow then
has nulls in a field that is declared to have none, and refuses to write them to Parquet.
"""

from __future__ import annotations

import pyarrow as pa


def nullable_type(kind: pa.DataType) -> pa.DataType:
    """Return the type, with every field, element and value inside it declared to be nullable."""
    types = pa.types
    if types.is_struct(kind):
        return pa.struct([_nullable(field) for field in kind])
    if types.is_map(kind):
        return pa.map_(nullable_type(kind.key_type), _nullable(kind.item_field), kind.keys_sorted)
    if types.is_list(kind):
        return pa.list_(_nullable(kind.value_field))
    if types.is_large_list(kind):
        return pa.large_list(_nullable(kind.value_field))
    return kind


def with_nullable_fields(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose columns may hold nulls at every depth. Plain columns are not copied."""
    if all(field.nullable and not pa.types.is_nested(field.type) for field in batch.schema):
        return batch
    schema = pa.schema([_nullable(field) for field in batch.schema])
    if schema == batch.schema:
        return batch
    columns = [
        column if column.type == field.type else _widened(column, field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _nullable(field: pa.Field) -> pa.Field:
    return field.with_type(nullable_type(field.type)).with_nullable(True)


def _widened(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column as a type that only allows more nulls.

    PyArrow 16 aborts the process if it casts a map with nested keys, and cannot view the type of a
    literal NULL.
    """
    return column.view(kind) if has_nested_keys(kind) else column.cast(kind)


def has_nested_keys(kind: pa.DataType) -> bool:
    """Tell whether a map in a type has nested keys: PyArrow 16 aborts the process at its cast."""
    if pa.types.is_map(kind) and pa.types.is_nested(kind.key_type):
        return True
    return any(has_nested_keys(kind.field(place).type) for place in range(kind.num_fields))
