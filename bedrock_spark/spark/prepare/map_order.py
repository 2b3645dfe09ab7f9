"""Rows that come to the Spark driver and go back, with the entries of each map in their order.

Spark hands maps to Python, and takes them from it, through a hash table of Java, whose order is
another one. A template that shows a map would then make another request than a run makes. So a map
travels as the array of its entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.spark.prepare.columns import column_of

_KEY, _VALUE = "key", "value"
_Change: TypeAlias = Callable[[Column, Callable[[Column], Column]], Column]


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
    """Return a column whose maps become the arrays of their entries."""

    def array_of(value: Column, entries: Callable[[Column], Column]) -> Column:
        return F.transform(F.map_entries(value), entries)

    return _changed(column, kind, array_of)


def _maps(column: Column, kind: T.DataType) -> Column:
    """Return a column whose arrays of entries become maps again. kind: with maps"""

    def map_of(value: Column, entries: Callable[[Column], Column]) -> Column:
        return F.map_from_entries(F.transform(value, entries))

    return _changed(column, kind, map_of)


def _changed(column: Column, kind: T.DataType, change: _Change) -> Column:
    """Return a column with each map changed, or each array in place of one, also inside others.

    change: gets such a value, and what changes the maps inside an entry
    """
    if not has_map(kind):
        return column
    if isinstance(kind, T.MapType):
        key, value = kind.keyType, kind.valueType
        return change(
            column,
            lambda entry: F.struct(
                _changed(entry.getField(_KEY), key, change).alias(_KEY),
                _changed(entry.getField(_VALUE), value, change).alias(_VALUE),
            ),
        )
    if isinstance(kind, T.ArrayType):
        element = kind.elementType
        return F.transform(column, lambda item: _changed(item, element, change))
    assert isinstance(kind, T.StructType)
    fields = (
        _changed(column.getField(field.name), field.dataType, change).alias(field.name)
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
