"""Read the source, and derive the columns that prepare needs: key text, hash, bucket."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.planning import SourceSize
from bedrock_spark.requests import check_columns
from bedrock_spark.spark.results_schema import RESULT_COLUMNS
from bedrock_spark.templates import BodyTemplate

HASH, KEY, TIE, BUCKET = "_bs_hash", "_bs_key", "_bs_tie", "_bs_bucket"

# What a line holds beside its body: {"recordId":"…","modelInput":…} and the newline.
LINE_OVERHEAD = len('{"recordId":"01234567890","modelInput":}\n')
# Quotes and newlines grow when escaped; measured on prose and on code at 2 to 5 %.
_ESCAPING = 1.05


@dataclass(frozen=True)
class SourceColumns:
    """Which columns are the key, which are kept with the results, and which are only rendered."""

    key: tuple[str, ...]
    kept: tuple[str, ...]
    rendered: tuple[str, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """Return every column that prepare reads."""
        return tuple(dict.fromkeys((*self.kept, *self.rendered)))


def read_source(spark: SparkSession, source: SourceConfig) -> DataFrame:
    """Return the source as a DataFrame; no Spark action runs. Raises ConfigError."""
    if source.sql is not None:
        return spark.sql(source.sql)
    if source.table is not None:
        return spark.table(source.table)
    if source.path is not None and source.format is not None:
        return spark.read.format(source.format).options(**source.options).load(source.path)
    raise ConfigError("source: names no path, table or sql, and no DataFrame was handed in")


def choose_columns(df: DataFrame, source: SourceConfig, template: BodyTemplate) -> SourceColumns:
    """Check every column the config names against the source. Raises ConfigError."""
    present = df.columns
    twice = sorted({name for name in present if present.count(name) > 1})
    if twice:
        raise ConfigError(f"source: has more than one column {twice[0]}; rename or select")
    check_columns(source.key, present, "source.key")
    check_columns(source.columns or (), present, "source.columns")
    check_columns(template.columns, present, "request")
    kept = tuple(dict.fromkeys((*source.key, *(source.columns or present))))
    taken = [name for name in kept if name in RESULT_COLUMNS]
    if taken:
        raise ConfigError(
            f"source: its column {taken[0]} has the name of a result column; rename it, or list "
            "the columns to keep, without it, in source.columns"
        )
    _check_key_types(df, source.key)
    return SourceColumns(source.key, kept, template.columns)


def _check_key_types(df: DataFrame, key: tuple[str, ...]) -> None:
    for name in key:
        kind = df.schema[name].dataType
        if isinstance(kind, (T.FloatType, T.DoubleType)):
            raise ConfigError(
                f"source.key: {name} is a {kind.simpleString()}, whose text is not the same "
                "everywhere; cast it to a decimal or a string"
            )
        if isinstance(kind, (T.ArrayType, T.MapType, T.StructType)):
            raise ConfigError(f"source.key: {name} is a {kind.typeName()}; name single values")


def with_ids(df: DataFrame, columns: SourceColumns) -> DataFrame:
    """Select what prepare needs: hash, key text, tie-break, and the needed source columns.

    Without a key the hash is of the rendered columns: of what the request is made from. Rows that
    ask the same then share a hash, and the tie-break, a hash of all their values, orders them.
    """
    named = columns.key or columns.rendered
    key = F.to_json(F.array(*(_as_text(df, name) for name in named)))
    hashable = [n for n in columns.needed if not _holds_map(df.schema[n].dataType)]
    tie = F.lit(0).cast("bigint") if columns.key else F.xxhash64(*(F.col(_q(n)) for n in hashable))
    return df.select(
        F.xxhash64(key).alias(HASH),
        (key if columns.key else F.lit(None).cast("string")).alias(KEY),
        tie.alias(TIE),
        *(F.col(_q(name)) for name in columns.needed),
    )


def into_buckets(df: DataFrame, buckets: int) -> DataFrame:
    """Deal rows into buckets by their hash, sorted within: the one shuffle of the pipeline.

    The bucket is also a column: Spark's hash partitioning is the murmur3 of the column modulo the
    number of partitions, and the task checks that it got what it thinks it got.
    """
    bucket = F.pmod(F.hash(F.col(HASH)), F.lit(buckets)).cast("int")
    return (
        df.withColumn(BUCKET, bucket)
        .repartition(buckets, F.col(HASH))
        .sortWithinPartitions(HASH, KEY, TIE)
    )


def measure(df: DataFrame, template: BodyTemplate) -> SourceSize:
    """Count the rows and estimate the bytes of their lines. Runs one Spark action."""
    lengths = [_text_length(df, name) for name in template.columns]
    total = sum(lengths[1:], lengths[0]) if lengths else F.lit(0)
    row = df.agg(F.count(F.lit(1)).alias("rows"), F.sum(total).alias("bytes")).first()
    rows, text_bytes = (row["rows"], row["bytes"] or 0) if row is not None else (0, 0)
    fixed = rows * (template.static_bytes + LINE_OVERHEAD)
    return SourceSize(records=rows, line_bytes=int(fixed + text_bytes * _ESCAPING))


def _q(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _as_text(df: DataFrame, name: str) -> Column:
    """Return a column's value as the text that is hashed; the same in every session.

    Timestamps are microseconds since the epoch, because their text depends on the session's time
    zone; bytes are hexadecimal.
    """
    column, kind = F.col(_q(name)), df.schema[name].dataType
    if isinstance(kind, T.TimestampType):
        return F.unix_micros(column).cast("string")
    if isinstance(kind, T.BinaryType):
        return F.lower(F.hex(column))
    if isinstance(kind, (T.ArrayType, T.MapType, T.StructType)):
        return F.to_json(column, {"timeZone": "UTC"})
    return column.cast("string")


def _text_length(df: DataFrame, name: str) -> Column:
    column, kind = F.col(_q(name)), df.schema[name].dataType
    if isinstance(kind, (T.ArrayType, T.MapType, T.StructType)):
        column = F.to_json(column)
    elif not isinstance(kind, (T.StringType, T.BinaryType)):
        column = column.cast("string")
    return F.coalesce(F.octet_length(column), F.lit(4)).cast("bigint")


def _holds_map(kind: T.DataType) -> bool:
    """Spark has no hash of maps."""
    if isinstance(kind, T.MapType):
        return True
    if isinstance(kind, T.ArrayType):
        return _holds_map(kind.elementType)
    if isinstance(kind, T.StructType):
        return any(_holds_map(field.dataType) for field in kind.fields)
    return False
