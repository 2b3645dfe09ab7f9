"""Fit the results to the columns of a table or folder to which rows are added.

A table may have more columns than the results: they are null in new rows, and a merge leaves them
as they are in the rows that it updates. It must have all columns of the results, because a column
that appears by itself is seldom meant; the error has the statement that adds them.
"""

from __future__ import annotations

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.config import ResultsConfig
from bedrock_spark.config.formats import LAKE
from bedrock_spark.config.overlaps import named_results
from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.result_schema import result_columns_of

# Formats whose files say which types their columns have.
_TYPED = ("parquet", "orc", "avro", *LAKE)
_DELTA = "delta"


def has_types(config: ResultsConfig) -> bool:
    """Tell whether what is there has types: those of JSON files are only guessed from values."""
    return config.table is not None or config.format.lower() in _TYPED


def existing_columns(spark: SparkSession, config: ResultsConfig) -> T.StructType:
    """Return the columns of the table or the folder of the results, which exists.

    A folder may have files and no data, such as what a killed writer left below _temporary: then
    there are no columns.
    """
    if config.table is not None:
        return spark.table(config.table).schema
    try:
        return spark.read.format(config.format).load(config.path).schema
    except AnalysisException as exc:
        if "UNABLE_TO_INFER_SCHEMA" in str(exc):
            return T.StructType()
        raise


def refuse_misfits(config: ResultsConfig, results: T.StructType, there: T.StructType) -> None:
    """Raise ConfigError if the results cannot be added to what is there."""
    problems = misfits(config, results, there)
    if problems:
        raise ConfigError(
            f"{named_results(config)}: the results do not fit the columns there: "
            f"{'; '.join(problems)}. Name another place, change the columns (source.columns, "
            "source.sql, results.parse, results.model_output), or change the table"
            f"{_statement(config, results, there)}"
        )


def misfits(config: ResultsConfig, results: T.StructType, there: T.StructType) -> list[str]:
    """Return why the results cannot be added to what is there, column by column.

    A folder of files takes any column; but one column cannot have two types.
    """
    mine = {f.name.lower(): f for f in results.fields}
    theirs = {f.name.lower(): f for f in there.fields}
    has_columns = is_table(config)
    # Rows that are appended to Delta Lake are cast here, which is not done inside structs.
    in_structs = not (config.format.lower() == _DELTA and config.mode == "append")
    absent = [f.name for f in _absent(results, there)] if has_columns else []
    needed = [f.name for n, f in theirs.items() if n not in mine and not f.nullable]
    without_null = [f.name for n, f in theirs.items() if n in _nullable(config) and not f.nullable]
    return [
        *([f"there is no column {', '.join(absent)}"] if absent else []),
        *([f"the results have no column {', '.join(needed)}, which is NOT NULL"] if needed else []),
        *(
            f"{name} is NOT NULL there, and null in the results of rows without an answer"
            for name in without_null
        ),
        *(
            f"{field.name} is {theirs[name].dataType.simpleString()} there and "
            f"{field.dataType.simpleString()} in the results"
            for name, field in mine.items()
            if name in theirs
            and not _can_hold(theirs[name].dataType, field.dataType, has_columns, in_structs)
        ),
    ]


def fitted(df: DataFrame, config: ResultsConfig, there: T.StructType) -> DataFrame:
    """Return the results with the types of an existing table, and with its other columns as null.

    Delta Lake adds the other columns itself, so that their defaults count. Spark and Iceberg do
    not in every version, and Delta Lake does not widen types when rows are appended.
    """
    theirs = {f.name.lower(): f.dataType for f in there.fields}
    columns = [
        F.col(quote_name(f.name)).cast(theirs[f.name.lower()]).alias(f.name)
        if _is_cast(f.dataType, theirs.get(f.name.lower()))
        else F.col(quote_name(f.name))
        for f in df.schema.fields
    ]
    if config.format.lower() != _DELTA:
        mine = {name.lower() for name in df.columns}
        others = [f for f in there.fields if f.name.lower() not in mine]
        columns += [F.lit(None).cast(f.dataType).alias(f.name) for f in others]
    return df.select(*columns)


def is_table(config: ResultsConfig) -> bool:
    """Tell whether rows that are added must have the columns that are there."""
    return config.table is not None or config.format.lower() in LAKE


def _absent(results: T.StructType, there: T.StructType) -> list[T.StructField]:
    theirs = {f.name.lower() for f in there.fields}
    return [f for f in results.fields if f.name.lower() not in theirs]


def _nullable(config: ResultsConfig) -> set[str]:
    """Return the names of the result columns that are null in some rows, in lower case.

    A merge leaves out rejected rows, which are those without a record id.
    """
    always = ("outcome", "record_id") if config.mode == "merge" else ("outcome",)
    names = {name.lower() for name in result_columns_of(config).names}
    return names - {f"{config.prefix}{name}".lower() for name in always}


def _statement(config: ResultsConfig, results: T.StructType, there: T.StructType) -> str:
    """Return how the missing columns are added; "" if none are missing, or no statement does it."""
    absent = _absent(results, there) if is_table(config) else []
    table = config.table
    if table is None and config.format.lower() == _DELTA:
        table = f"delta.{quote_name(config.path or '')}"
    if not absent or table is None:
        return ""
    columns = ", ".join(f"{quote_name(f.name)} {f.dataType.simpleString()}" for f in absent)
    return f", such as ALTER TABLE {table} ADD COLUMNS ({columns})"


_WIDER: tuple[tuple[type[T.DataType], ...], ...] = (
    (T.ByteType, T.ShortType, T.IntegerType, T.LongType),
    (T.FloatType, T.DoubleType),
    (T.DateType, T.TimestampType),
)


def _can_hold(there: T.DataType, mine: T.DataType, widens: bool, in_structs: bool) -> bool:
    """Tell whether a column can hold values of a type. A table widens them, a file does not.

    in_structs: whether the fields of structs are widened as well
    """
    if isinstance(there, T.ArrayType) and isinstance(mine, T.ArrayType):
        return _can_hold(there.elementType, mine.elementType, widens, in_structs)
    if isinstance(there, T.MapType) and isinstance(mine, T.MapType):
        return _can_hold(there.keyType, mine.keyType, widens, in_structs) and _can_hold(
            there.valueType, mine.valueType, widens, in_structs
        )
    if isinstance(there, T.StructType) and isinstance(mine, T.StructType):
        pairs = {f.name: f.dataType for f in there.fields}
        return pairs.keys() == {f.name for f in mine.fields} and all(
            _can_hold(pairs[f.name], f.dataType, widens and in_structs, in_structs)
            for f in mine.fields
        )
    if there.simpleString() == mine.simpleString():
        return True
    return widens and any(
        type(mine) in types and type(there) in types[types.index(type(mine)) :] for types in _WIDER
    )


def _is_cast(mine: T.DataType, there: T.DataType | None) -> bool:
    """Tell whether a column is cast to the type that is there. A cast of structs goes by order."""
    text = mine.simpleString()
    return there is not None and there.simpleString() != text and "struct<" not in text
