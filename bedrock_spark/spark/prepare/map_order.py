"""Rows that come to the Spark driver and go back, with the entries of each map in their order.

Spark hands maps to Python, and takes them from it, through a hash table of Java, whose order is
another one. A template that shows a map would then make another request than a run makes. So a map
travels as the array of its entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.spark.prepare.columns import column_of

_KEY, _VALUE = "key", "value"


def with_entries(df: DataFrame) -> DataFrame:
    """Return a table whose maps, at any depth, are arrays of structs of `key` and `value`."""
    if not has_map(df.schema):
        return df
    columns = (_entries(column_of(f.name), f.dataType).alias(f.name) for f in df.schema.fields)
    return df.select(*columns)


def table_of(spark: SparkSession, rows: Iterable[Sequence[Any]], schema: T.StructType) -> DataFrame:
    """Return rows of `with_entries` as a table with maps again.

    schema: of the table, with maps
    """
    if not has_map(schema):
        return spark.createDataFrame(list(rows), schema)
    travelling = _entries_type(schema)
    values = [
        tuple(map(_once_each, row, (field.dataType for field in schema.fields))) for row in rows
    ]
    made = spark.createDataFrame(values, travelling)
    columns = (_maps(column_of(f.name), f.dataType).alias(f.name) for f in schema.fields)
    return made.select(*columns)


def has_map(kind: T.DataType) -> bool:
    """Tell whether a type is a map, or has one inside."""
    if isinstance(kind, T.StructType):
        return any(has_map(field.dataType) for field in kind.fields)
    return isinstance(kind, T.MapType) or (
        isinstance(kind, T.ArrayType) and has_map(kind.elementType)
    )


def _entries(column: Column, kind: T.DataType) -> Column:
    if not has_map(kind):
        return column
    if isinstance(kind, T.MapType):
        key, value = kind.keyType, kind.valueType
        return F.transform(
            F.map_entries(column),
            lambda entry: F.struct(
                _entries(entry.getField(_KEY), key).alias(_KEY),
                _entries(entry.getField(_VALUE), value).alias(_VALUE),
            ),
        )
    if isinstance(kind, T.ArrayType):
        element = kind.elementType
        return F.transform(column, lambda item: _entries(item, element))
    return _struct(column, kind, _entries)


def _maps(column: Column, kind: T.DataType) -> Column:
    if not has_map(kind):
        return column
    if isinstance(kind, T.MapType):
        key, value = kind.keyType, kind.valueType
        return F.map_from_entries(
            F.transform(
                column,
                lambda entry: F.struct(
                    _maps(entry.getField(_KEY), key).alias(_KEY),
                    _maps(entry.getField(_VALUE), value).alias(_VALUE),
                ),
            )
        )
    if isinstance(kind, T.ArrayType):
        element = kind.elementType
        return F.transform(column, lambda item: _maps(item, element))
    return _struct(column, kind, _maps)


def _struct(
    column: Column, kind: T.DataType, change: Callable[[Column, T.DataType], Column]
) -> Column:
    assert isinstance(kind, T.StructType)
    fields = (
        change(column.getField(field.name), field.dataType).alias(field.name)
        for field in kind.fields
    )
    return F.when(column.isNotNull(), F.struct(*fields))


def _entries_type(kind: Any) -> Any:
    """Return the type that a value of a type has while it travels."""
    if isinstance(kind, T.StructType):
        names = [f.name for f in kind.fields]
        types = [_entries_type(f.dataType) for f in kind.fields]
        return T.StructType([*map(T.StructField, names, types, (f.nullable for f in kind.fields))])
    if isinstance(kind, T.ArrayType):
        return T.ArrayType(_entries_type(kind.elementType), kind.containsNull)
    if isinstance(kind, T.MapType):
        entry = T.StructType(
            [
                T.StructField(_KEY, _entries_type(kind.keyType), False),
                T.StructField(_VALUE, _entries_type(kind.valueType), kind.valueContainsNull),
            ]
        )
        return T.ArrayType(entry, False)
    return kind


def _once_each(value: Any, kind: T.DataType) -> Any:
    """Return a travelling value in which no map has a key twice, which Spark may refuse.

    As in a run, the last value of a key counts, in the place of the first.
    """
    if value is None or not has_map(kind):
        return value
    if isinstance(kind, T.MapType):
        entries = {repr(key): (key, item) for key, item in value}
        return [
            (_once_each(key, kind.keyType), _once_each(item, kind.valueType))
            for key, item in entries.values()
        ]
    if isinstance(kind, T.ArrayType):
        return [_once_each(item, kind.elementType) for item in value]
    assert isinstance(kind, T.StructType)
    return tuple(map(_once_each, value, (field.dataType for field in kind.fields)))
