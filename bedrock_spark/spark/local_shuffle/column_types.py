"""The types of columns: in Parquet files as Arrow reads them, and as Spark hands them to Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow import parquet as pq
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.spark.by_arrow import parquet_files
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.spark.prepare.nullable import has_nested_keys
from bedrock_spark.spark.prepare.sample_lint import PLAIN

# The physical type of the timestamps that Spark writes by default: 12 bytes, always in UTC.
_OLD_TIMESTAMP = "INT96"
_SINGLE: dict[type[T.DataType], pa.DataType] = {
    **PLAIN,
    T.BinaryType: pa.binary(),
    T.DateType: pa.date32(),
    T.TimestampNTZType: pa.timestamp("us"),
}


def arrow_type_of(kind: T.DataType, zone: str) -> pa.DataType:
    """Return the type in which Spark hands a column to Python. Raises NeedsSparkError.

    zone: the session's time zone
    """
    single = _SINGLE.get(type(kind))
    if single is not None and (single != pa.string() or kind.simpleString() == "string"):
        return single  # Spark 4 has texts with a collation
    if isinstance(kind, T.TimestampType):
        return pa.timestamp("us", zone)
    if isinstance(kind, T.DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, T.ArrayType):
        return pa.list_(pa.field("element", arrow_type_of(kind.elementType, zone)))
    if isinstance(kind, T.MapType):
        return pa.map_(arrow_type_of(kind.keyType, zone), arrow_type_of(kind.valueType, zone))
    if isinstance(kind, T.StructType):
        return pa.struct([(field.name, arrow_type_of(field.dataType, zone)) for field in kind])
    raise NeedsSparkError(f"a column has the type {kind.typeName()}")


def is_stored_as(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Tell whether a column of a file becomes a type of Spark without another value."""
    return bool(kind == wanted) or (not has_nested_keys(kind) and _is_cast_to(kind, wanted))


def _is_cast_to(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Tell whether a cast to another type changes no value."""
    if pa.types.is_dictionary(kind):
        return _is_cast_to(kind.value_type, wanted)
    if pa.types.is_timestamp(kind) and pa.types.is_timestamp(wanted):
        return (kind.tz is None) == (wanted.tz is None)
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_list(wanted):
        return _is_cast_to(kind.value_type, wanted.value_type)
    if pa.types.is_struct(kind) and pa.types.is_struct(wanted):
        pairs = list(zip(kind, wanted, strict=False))
        return kind.num_fields == wanted.num_fields and all(
            own.name == other.name and _is_cast_to(own.type, other.type) for own, other in pairs
        )
    large = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return bool(large.get(kind, kind) == wanted)


def types_in_file(file: pq.ParquetFile) -> dict[str, pa.DataType]:
    """Return the types of a file's columns. Timestamps of Spark's old kind are in UTC.

    file: opened with `coerce_int96_timestamp_unit="us"`
    """
    leaves = (file.schema.column(n).physical_type for n in range(len(file.schema)))
    return {field.name: _zoned(field.type, leaves) for field in file.schema_arrow}


def _zoned(kind: pa.DataType, leaves: Iterator[str]) -> pa.DataType:
    """Return the type with a time zone in each leaf that is a timestamp in 12 bytes.

    leaves: the physical types of the file's columns from here on: first those of this type
    """
    types = pa.types
    if types.is_map(kind):
        return pa.map_(_zoned(kind.key_type, leaves), _zoned(kind.item_type, leaves))
    if types.is_list(kind):
        return pa.list_(_zoned_field(kind.value_field, leaves))
    if types.is_large_list(kind):
        return pa.large_list(_zoned_field(kind.value_field, leaves))
    if types.is_struct(kind):
        return pa.struct([_zoned_field(field, leaves) for field in kind])
    return pa.timestamp("us", "UTC") if next(leaves, "") == _OLD_TIMESTAMP else kind


def _zoned_field(field: pa.Field, leaves: Iterator[str]) -> pa.Field:
    return field.with_type(_zoned(field.type, leaves))


def as_spark_has(
    batch: pa.RecordBatch, kinds: Sequence[pa.DataType], schema: pa.Schema
) -> pa.RecordBatch:
    """Return rows of a file in the types that Spark hands to Python. Raises NeedsSparkError.

    kinds: of the columns, as `types_in_file` tells; schema: the wanted names and types
    """
    if batch.schema.types == schema.types and not any(map(_holds_times, schema.types)):
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    columns = [
        column if column.type == kind else column.view(kind)
        for column, kind in zip(batch.columns, kinds, strict=True)
    ]
    viewed = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    plain = parquet_files.plain(viewed)
    if not plain:
        return pa.RecordBatch.from_pylist([], schema=schema)
    pairs = zip(plain[0].columns, schema.types, strict=True)
    cast = [column if column.type == kind else column.cast(kind) for column, kind in pairs]
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def _holds_times(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind) or pa.types.is_nested(kind))
