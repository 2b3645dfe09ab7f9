"""Read the source, once, and check the columns that the config names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.config import SourceConfig
from bedrock_spark.config.secrets import FromEnvironment, resolve_options, without_secrets
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.source_run import named_run
from bedrock_spark.spark.errors import config_errors, source_errors
from bedrock_spark.spark.prepare.source_columns import (
    SourceColumns,
    choose_names,
    refuse_key_type,
    renamed_columns,
)
from bedrock_spark.templates.body_template import BodyTemplate


def read_source(spark: SparkSession, source: SourceConfig) -> DataFrame:
    """Return the source as a DataFrame; no Spark action runs. Raises ConfigError.

    The rows of another run are read by `spark/source_run.py`.
    """
    with reading(source):
        if source.sql is not None:
            return spark.sql(source.sql)
        if source.table is not None:
            return spark.table(source.table)
    # Some formats, such as jdbc, have no path: their options name the table.
    if source.format is not None and (source.path is not None or source.options):
        options = resolve_options(source.options, os.environ)
        with reading(source):
            return spark.read.format(source.format).options(**options).load(source.path)
    raise ConfigError("source: names no path, table, sql or run, and no DataFrame was handed in")


@contextmanager
def reading(source: SourceConfig, df: DataFrame | None = None) -> Iterator[None]:
    """Turn Spark's errors in the block, which reads the source, into a SourceError.

    The source's secrets are shown neither in the message nor in the chain of errors.
    """
    options = source.options if df is None else {}
    with source_errors(
        place_of(source) if df is None else "the DataFrame",
        lambda text: without_secrets(text, options, os.environ),
        is_secret=any(isinstance(option, FromEnvironment) for option in options.values()),
    ):
        yield


def place_of(source: SourceConfig) -> str:
    """Return the source as the config names it."""
    if source.sql is not None:
        return "source.sql"
    if source.table is not None:
        return f"source.table = {source.table!r}"
    if source.run is not None:
        return named_run(source.run)
    named = {"source.path": source.path, "source.format": source.format}
    return ", ".join(f"{key} = {value!r}" for key, value in named.items() if value is not None)


# Formats that know their number of rows without reading them, and return the first rows quickly.
_INDEXED = ("parquet", "orc", "delta", "iceberg")


def is_indexed(spark: SparkSession, source: SourceConfig) -> bool:
    """Tell whether the size of a config's source can be estimated without reading all of it."""
    if source.path is not None and source.format is not None:
        return source.format.lower() in _INDEXED
    if source.table is None or source.sql is not None:
        return False
    return spark.catalog.getTable(source.table).tableType in ("MANAGED", "EXTERNAL")


@contextmanager
def kept_on_disk(df: DataFrame) -> Iterator[DataFrame]:
    """Keep rows on the executors' disks during the block, so that they are computed only once.

    A query or a DataFrame may be expensive to compute, or return other rows each time.
    """
    df.persist(StorageLevel.DISK_ONLY)
    try:
        yield df
    finally:
        df.unpersist()


def renamed(df: DataFrame, source: SourceConfig) -> DataFrame:
    """Return the source with the names of `source.rename`. Raises ConfigError."""
    if not source.rename:
        return df
    # By position, so that any name can be replaced: also one with a dot, or in another case.
    return df.toDF(*renamed_columns(df.columns, source))


def wanted_rows(df: DataFrame, source: SourceConfig) -> DataFrame:
    """Return the rows for which `source.where` is true. Raises ConfigError.

    df: the source with the names of `source.rename`
    """
    if source.where is None:
        return df
    with config_errors("source.where"):
        wanted = df.where(source.where)
        _ = wanted.schema  # over Spark Connect, this asks the server
        return wanted


def choose_columns(
    df: DataFrame, source: SourceConfig, template: BodyTemplate, *, is_handed_in: bool = False
) -> SourceColumns:
    """Check every column the config names against the source. Raises ConfigError.

    is_handed_in: the source is a DataFrame of the caller
    """
    columns = choose_names(df.columns, source, template, is_handed_in=is_handed_in)
    for name in source.key:
        kind = df.schema[name].dataType
        is_float = isinstance(kind, (T.FloatType, T.DoubleType))
        is_nested = isinstance(kind, (T.ArrayType, T.MapType, T.StructType))
        word = kind.typeName() if is_nested else kind.simpleString()
        refuse_key_type(name, word, is_float=is_float, is_nested=is_nested)
    return columns
