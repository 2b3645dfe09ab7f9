"""Try a place before anything is paid for: write an empty table there, and delete it again."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import ResultsConfig
from bedrock_spark.config.formats import LAKE
from bedrock_spark.config.places import names_of_table
from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.destination import OVERWRITE
from bedrock_spark.spark.errors import SPARK_ERRORS
from bedrock_spark.spark.folder import OWN_PREFIX, open_folder
from bedrock_spark.spark.replace import SESSION_CATALOG, is_in_session

# Formats of files whose reader takes a schema.
_FILES = ("parquet", "orc", "json", "avro")
_NO_ICEBERG = (
    "{}: Spark's own catalog has no tables of Iceberg. Name a table of a catalog of Iceberg, such "
    "as lake.support.answers, or set spark.sql.catalog.spark_catalog to "
    "org.apache.iceberg.spark.SparkSessionCatalog"
)

# Uses a table that was made for the trial, by its name or its path, before it is deleted.
Use = Callable[[str], object]


def _leave(place: str) -> None:
    """Do nothing more with the table."""


def try_table(
    spark: SparkSession, config: ResultsConfig, empty: DataFrame, key: str, use: Use = _leave
) -> None:
    """Make a table beside that of the config, and drop it.

    empty: has the columns, and no row; key: names the table in a message
    Raises ConfigError or an error of Spark if that cannot be done.
    """
    *prefix, name = names_of_table(config.table or "")
    trial = ".".join(map(quote_name, [*prefix, f"{name}_bedrock_spark_{secrets.token_hex(4)}"]))
    try:
        empty.write.format(config.format).saveAsTable(trial)
        use(trial)
    except SPARK_ERRORS as exc:
        if _lacks_iceberg(spark, config):
            raise ConfigError(_NO_ICEBERG.format(key)) from exc
        raise
    finally:
        spark.sql(f"DROP TABLE IF EXISTS {trial}")


def _lacks_iceberg(spark: SparkSession, config: ResultsConfig) -> bool:
    """Tell whether a table of Iceberg is named in Spark's own catalog, which has none by itself."""
    own = spark.conf.get(f"spark.sql.catalog.{SESSION_CATALOG}", "") or ""
    is_iceberg = config.format.lower() == "iceberg"
    return is_iceberg and is_in_session(spark, config.table or "") and "iceberg" not in own


def try_path(
    spark: SparkSession,
    config: ResultsConfig,
    empty: DataFrame,
    *,
    is_there: bool,
    use: Use = _leave,
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
        use(trial)
    finally:
        if folder is not None:
            folder.delete()
        if not existed:
            destination.delete_if_empty()
