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
from bedrock_spark.spark.errors import config_errors
from bedrock_spark.spark.folder import OWN_PREFIX, open_folder
from bedrock_spark.spark.result_schema import result_columns_of

# Formats of text without types: they hold only single values.
_FLAT = ("csv", "text")
# Formats whose files say which types their columns have.
_TYPED = ("parquet", "orc", "avro", *LAKE)
# Formats of files whose reader takes a schema.
_FILES = ("parquet", "orc", "json", "avro")
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
        if is_there and config.mode != OVERWRITE and _has_types(config):
            _refuse_misfits(config, empty.schema, _existing_columns(spark, config))
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
    finally:
        spark.sql(f"DROP TABLE IF EXISTS {trial}")


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


def _has_types(config: ResultsConfig) -> bool:
    """Tell whether what is there has types: those of JSON files are only guessed from values."""
    return config.table is not None or config.format.lower() in _TYPED


def _existing_columns(spark: SparkSession, config: ResultsConfig) -> T.StructType:
    if config.table is not None:
        return spark.table(config.table).schema
    return spark.read.format(config.format).load(config.path).schema


def _refuse_misfits(config: ResultsConfig, results: T.StructType, there: T.StructType) -> None:
    problems = misfits(config, results, there)
    if problems:
        raise ConfigError(
            f"{named_results(config)}: the results do not fit the columns there: "
            f"{'; '.join(problems)}. Name another place, change the columns (source.columns, "
            "source.sql, results.parse, results.model_output), or change the table"
        )


def misfits(config: ResultsConfig, results: T.StructType, there: T.StructType) -> list[str]:
    """Return why the results cannot be added to what is there, column by column.

    A folder of files takes any column; but one column cannot have two types. A table takes the
    columns that it has. If rows are appended to Delta Lake, its other columns become null.
    """
    mine = {f.name.lower(): f for f in results.fields}
    theirs = {f.name.lower(): f for f in there.fields}
    is_lake, is_delta = config.format.lower() in LAKE, config.format.lower() == "delta"
    is_table = config.table is not None or is_lake
    absent = [f.name for n, f in mine.items() if is_table and n not in theirs]
    needs_all = is_table and not (is_delta and config.mode == "append")
    left_over = [f.name for n, f in theirs.items() if needs_all and n not in mine]
    return [
        *([f"there is no column {', '.join(absent)}"] if absent else []),
        *([f"the results have no column {', '.join(left_over)}"] if left_over else []),
        *(
            f"{field.name} is {theirs[name].dataType.simpleString()} there and "
            f"{field.dataType.simpleString()} in the results"
            for name, field in mine.items()
            if name in theirs and not _can_hold(theirs[name].dataType, field.dataType, is_table)
        ),
    ]


_WIDER: tuple[tuple[type[T.DataType], ...], ...] = (
    (T.ByteType, T.ShortType, T.IntegerType, T.LongType),
    (T.FloatType, T.DoubleType),
    (T.DateType, T.TimestampType),
)


def _can_hold(there: T.DataType, mine: T.DataType, widens: bool) -> bool:
    """Tell whether a column can hold values of a type. A table widens them, a file does not."""
    if isinstance(there, T.ArrayType) and isinstance(mine, T.ArrayType):
        return _can_hold(there.elementType, mine.elementType, widens)
    if isinstance(there, T.MapType) and isinstance(mine, T.MapType):
        return _can_hold(there.keyType, mine.keyType, widens) and _can_hold(
            there.valueType, mine.valueType, widens
        )
    if isinstance(there, T.StructType) and isinstance(mine, T.StructType):
        pairs = {f.name: f.dataType for f in there.fields}
        return pairs.keys() == {f.name for f in mine.fields} and all(
            _can_hold(pairs[f.name], f.dataType, widens) for f in mine.fields
        )
    if there.simpleString() == mine.simpleString():
        return True
    return widens and any(
        type(mine) in types and type(there) in types[types.index(type(mine)) :] for types in _WIDER
    )
