"""Try the place and the format of the results before anything is paid for.

An empty table with the columns of the results is written and deleted again: so a misspelt format, a
format that cannot hold a column, and missing permissions are found now, not after the bill. If rows
will be added to a table that exists, its columns are compared instead.
"""

from __future__ import annotations

import secrets

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.config import ResultsConfig
from bedrock_spark.config.formats import LAKE
from bedrock_spark.config.overlaps import named_results
from bedrock_spark.config.places import names_of_table
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.published import Publications
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.destination import (
    OVERWRITE,
    exists,
    place_name,
    refuse_foreign,
    refuse_overlaps,
)
from bedrock_spark.spark.errors import SPARK_ERRORS, config_errors
from bedrock_spark.spark.existing_columns import existing_columns, has_types, refuse_misfits
from bedrock_spark.spark.folder import OWN_PREFIX, open_folder
from bedrock_spark.spark.replace import SESSION_CATALOG, is_in_session
from bedrock_spark.spark.result_schema import result_columns_of

# Formats of text without types: they hold only single values.
_FLAT = ("csv", "text")
# Formats of files whose reader takes a schema.
_FILES = ("parquet", "orc", "json", "avro")
_NO_ICEBERG = (
    "{}: Spark's own catalog has no tables of Iceberg. Name a table of a catalog of Iceberg, such "
    "as lake.support.answers, or set spark.sql.catalog.spark_catalog to "
    "org.apache.iceberg.spark.SparkSessionCatalog"
)
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
            _try_table(spark, config, empty)
        if config.path is not None:
            _try_path(spark, config, empty, is_there=is_there)


def _refuse_nested(config: ResultsConfig, schema: T.StructType) -> None:
    if config.format.lower() in _FLAT:
        nested = [f.name for f in schema.fields if isinstance(f.dataType, _NESTED)]
        raise ConfigError(
            f"results.format = {config.format!r}: cannot hold the columns {', '.join(nested)}, "
            "which are arrays, maps or structs; use a format with types, such as parquet, orc, "
            "json or delta"
        )


def _try_table(spark: SparkSession, config: ResultsConfig, empty: DataFrame) -> None:
    *prefix, name = names_of_table(config.table or "")
    trial = ".".join(map(quote_name, [*prefix, f"{name}_bedrock_spark_{secrets.token_hex(4)}"]))
    try:
        empty.write.format(config.format).saveAsTable(trial)
    except SPARK_ERRORS as exc:
        if _lacks_iceberg(spark, config):
            raise ConfigError(_NO_ICEBERG.format(named_results(config))) from exc
        raise
    finally:
        spark.sql(f"DROP TABLE IF EXISTS {trial}")


def _lacks_iceberg(spark: SparkSession, config: ResultsConfig) -> bool:
    """Tell whether a table of Iceberg is named in Spark's own catalog, which has none by itself."""
    own = spark.conf.get(f"spark.sql.catalog.{SESSION_CATALOG}", "") or ""
    is_iceberg = config.format.lower() == "iceberg"
    return is_iceberg and is_in_session(spark, config.table or "") and "iceberg" not in own


def _try_path(
    spark: SparkSession, config: ResultsConfig, empty: DataFrame, *, is_there: bool
) -> None:
    """Write inside the folder, to which the permissions apply, or beside a table in a lake format.

    Over Spark Connect nothing can be deleted again, so nothing is written.
    """
    path = config.path or ""
    destination = open_folder(spark, path)
    if destination is None:
        return
    is_lake = config.format.lower() in LAKE
    if is_lake and is_there and config.mode != OVERWRITE:
        return  # its columns were compared
    name = f"{OWN_PREFIX}_{secrets.token_hex(4)}"
    trial = destination.beside(name) if is_lake and is_there else f"{path.rstrip('/')}/{name}"
    existed, folder = destination.exists(), open_folder(spark, trial)
    try:
        empty.write.format(config.format).save(trial)
        if config.format.lower() in _FILES:
            # Fields that differ only in case can be written as files, and not be read again.
            spark.read.format(config.format).schema(empty.schema).load(trial)
    finally:
        if folder is not None:
            folder.delete()
        if not existed:
            destination.delete_if_empty()
