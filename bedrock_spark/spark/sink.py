"""Try the place and the format of the results before anything is paid for.

An empty table with the columns of the results is written and deleted again: so a misspelt format, a
format that cannot hold a column, and missing permissions are found now, not after the bill. If rows
will be added to a table that exists, its columns are compared instead.
"""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.config import ResultsConfig
from bedrock_spark.config.overlaps import named_results
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.published import Publications
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.destination import (
    OVERWRITE,
    exists,
    place_name,
    refuse_foreign,
    refuse_overlaps,
)
from bedrock_spark.spark.errors import config_errors
from bedrock_spark.spark.existing_columns import existing_columns, has_types, refuse_misfits
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.spark.trial import try_path, try_table

# Formats of text without types: they hold only single values.
_FLAT = ("csv", "text")
_NESTED = (T.ArrayType, T.MapType, T.StructType)


def check_sink(spark: SparkSession, run: Run, kept: str, *, is_committed: bool = False) -> None:
    """Raise ConfigError if the results cannot be published where and how the config says.

    kept: the kept source columns in Spark DDL
    is_committed: whether the run is prepared; then what was published before is not tried again
    A small Spark action runs, if the config names a place.
    """
    config, place = run.config.results, place_name(spark, run.config.results)
    if place is None or (is_committed and Publications(run.storage).at(place) is not None):
        return
    refuse_overlaps(spark, run.config)
    refuse_foreign(spark, run)
    empty = spark.createDataFrame([], f"{kept}, {result_columns_of(config).ddl}")
    _refuse_nested(config, empty.schema)
    with config_errors(f"{named_results(config)}, results.format = {config.format!r}"):
        is_there = exists(spark, config)
        if is_there and config.mode != OVERWRITE and has_types(config):
            refuse_misfits(config, empty.schema, existing_columns(spark, config))
        if config.table is not None and not (is_there and config.mode != OVERWRITE):
            try_table(spark, config, empty, str(named_results(config)))
        if config.path is not None:
            try_path(spark, config, empty, is_there=is_there)


def _refuse_nested(config: ResultsConfig, schema: T.StructType) -> None:
    if config.format.lower() in _FLAT:
        nested = [f.name for f in schema.fields if isinstance(f.dataType, _NESTED)]
        raise ConfigError(
            f"results.format = {config.format!r}: cannot hold the columns {', '.join(nested)}, "
            "which are arrays, maps or structs; use a format with types, such as parquet, orc, "
            "json or delta"
        )
