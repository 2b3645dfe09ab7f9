"""Spark expressions for columns: by any name, as the text that is hashed, and as a tie-breaker."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.schema import INTERNAL_PREFIX, quote_name

_NESTED = (T.ArrayType, T.MapType, T.StructType)


def column_of(name: str) -> Column:
    """Return the column with this name, which may hold dots and backticks."""
    return F.col(quote_name(name))


def ddl_of(schema: T.StructType) -> str:
    """Return the DDL of a table's columns, with every column name and field name quoted."""
    return ", ".join(f"{quote_name(f.name)} {_type_ddl(f.dataType)}" for f in schema.fields)


def _type_ddl(kind: T.DataType) -> str:
    if isinstance(kind, T.StructType):
        fields = (f"{quote_name(f.name)}:{_type_ddl(f.dataType)}" for f in kind.fields)
        return f"struct<{','.join(fields)}>"
    if isinstance(kind, T.ArrayType):
        return f"array<{_type_ddl(kind.elementType)}>"
    if isinstance(kind, T.MapType):
        return f"map<{_type_ddl(kind.keyType)},{_type_ddl(kind.valueType)}>"
    return kind.simpleString()


def key_column(df: DataFrame, names: tuple[str, ...]) -> Column:
    """Return the text that is hashed: the key values, each as text, as a compact JSON array."""
    return F.to_json(F.array(*(_as_text(df, name) for name in names)))


def hash_of_values(df: DataFrame, names: tuple[str, ...]) -> Column:
    """Return a hash of all these values, which puts rows of one key or body in a fixed order."""
    # Spark cannot hash maps, and ignores a struct of nulls in a hash.
    nested = (isinstance(df.schema[n].dataType, _NESTED) for n in names)
    columns = zip(map(column_of, names), nested, strict=True)
    utc = {"timeZone": "UTC"}
    return F.xxhash64(*(F.to_json(c, utc) if is_nested else c for c, is_nested in columns))


def _as_text(df: DataFrame, name: str) -> Column:
    """Return a column's value as the text that is hashed. It is the same in every session.

    Timestamps are microseconds since the epoch, because their text depends on the session's time
    zone; bytes are hexadecimal.
    """
    column, kind = column_of(name), df.schema[name].dataType
    if isinstance(kind, T.TimestampType):
        return F.unix_micros(column).cast("string")
    if isinstance(kind, T.BinaryType):
        return F.lower(F.hex(column))
    return column.cast("string")


# The 64-bit hash that becomes the record id, and the text that distinguishes rows of one hash.
HASH, KEY = f"{INTERNAL_PREFIX}hash", f"{INTERNAL_PREFIX}key"
# The tie-breaker for rows with one key, and the row's key if an earlier row has it too.
TIE, REPEATED = f"{INTERNAL_PREFIX}tie", f"{INTERNAL_PREFIX}repeated"
