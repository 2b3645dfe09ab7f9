"""The source: read it, once, and check the columns that the config names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812 - what everybody calls it

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.requests import check_columns
from bedrock_spark.result_columns import RESULT_COLUMNS
from bedrock_spark.templates import BodyTemplate


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


# Formats that count their rows without reading them, and of which a few rows are quickly had.
_INDEXED = ("parquet", "orc", "delta", "iceberg")


def is_indexed(spark: SparkSession, source: SourceConfig) -> bool:
    """Tell whether a config's source can be sized without being read."""
    if source.path is not None and source.format is not None:
        return source.format.lower() in _INDEXED
    if source.table is None or source.sql is not None:
        return False
    return spark.catalog.getTable(source.table).tableType in ("MANAGED", "EXTERNAL")


@contextmanager
def kept_on_disk(df: DataFrame) -> Iterator[DataFrame]:
    """Keep rows on the executors' disks for the block: computed once, however often they are read.

    A query or a DataFrame may be dear to compute, or give other rows each time.
    """
    df.persist(StorageLevel.DISK_ONLY)
    try:
        yield df
    finally:
        df.unpersist()


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
