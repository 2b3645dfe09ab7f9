"""Columns as Spark expressions: by any name, as the text that is hashed, and as a tie-break."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.schema import quoted

_NESTED = (T.ArrayType, T.MapType, T.StructType)


def column_of(name: str) -> Column:
    """Return the column of this name, dots and backticks included."""
    return F.col(quoted(name))


def ddl_of(schema: T.StructType) -> str:
    """Return the DDL of a table's columns, every name quoted, those of fields too."""
    return ", ".join(f"{quoted(f.name)} {_type_ddl(f.dataType)}" for f in schema.fields)


def _type_ddl(kind: T.DataType) -> str:
    if isinstance(kind, T.StructType):
        fields = (f"{quoted(f.name)}:{_type_ddl(f.dataType)}" for f in kind.fields)
        return f"struct<{','.join(fields)}>"
    if isinstance(kind, T.ArrayType):
        return f"array<{_type_ddl(kind.elementType)}>"
    if isinstance(kind, T.MapType):
        return f"map<{_type_ddl(kind.keyType)},{_type_ddl(kind.valueType)}>"
    return kind.simpleString()


def key_text(df: DataFrame, names: tuple[str, ...]) -> Column:
    """Return the key values, each as text, as a compact JSON array: what is hashed."""
    return F.to_json(F.array(*(_as_text(df, name) for name in names)))


def hash_of_values(df: DataFrame, names: tuple[str, ...]) -> Column:
    """Return a hash of all these values, to put rows of one key or body in order."""
    # Spark has no hash of maps, and hashes a struct of nulls as if it were not there.
    nested = (isinstance(df.schema[n].dataType, _NESTED) for n in names)
    columns = zip(map(column_of, names), nested, strict=True)
    return F.xxhash64(*(F.to_json(c, {"timeZone": "UTC"}) if deep else c for c, deep in columns))


def _as_text(df: DataFrame, name: str) -> Column:
    """Return a column's value as the text that is hashed; the same in every session.

    Timestamps are microseconds since the epoch, because their text depends on the session's time
    zone; bytes are hexadecimal.
    """
    column, kind = column_of(name), df.schema[name].dataType
    if isinstance(kind, T.TimestampType):
        return F.unix_micros(column).cast("string")
    if isinstance(kind, T.BinaryType):
        return F.lower(F.hex(column))
    return column.cast("string")


# The 64-bit hash that a record id is made of, and the text that tells rows of one hash apart.
HASH, KEY = "_bs_hash", "_bs_key"
# What puts rows of one key in order, and a key that an earlier row has.
TIE, REPEATED = "_bs_tie", "_bs_repeated"
# Which bucket a row was dealt into.
BUCKET = "_bs_bucket"
