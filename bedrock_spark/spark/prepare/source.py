"""The source: read it, once, and check the columns that the config names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812 - what everybody calls it

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import check_columns
from bedrock_spark.schema import RESULT_COLUMNS
from bedrock_spark.templates.body_template import BodyTemplate


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
        with _config_errors("source.sql"):
            return spark.sql(source.sql)
    if source.table is not None:
        with _config_errors(f"source.table = {source.table!r}"):
            return spark.table(source.table)
    if source.path is not None and source.format is not None:
        with _config_errors(f"source.path = {source.path!r}, source.format = {source.format!r}"):
            return spark.read.format(source.format).options(**source.options).load(source.path)
    raise ConfigError("source: names no path, table or sql, and no DataFrame was handed in")


@contextmanager
def _config_errors(where: str) -> Iterator[None]:
    """Say which key Spark's error is about, in its first line."""
    try:
        yield
    except (PySparkException, Py4JError) as exc:
        java = getattr(exc, "java_exception", None)
        said = str(java.getMessage() if java is not None else exc).strip().split("\n")[0]
        raise ConfigError(f"{where}: {said or type(exc).__name__}") from exc


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
    # Spark's names are the same whatever their case, unless a session says otherwise.
    lowered = [name.lower() for name in present]
    twice = sorted({name for name in present if lowered.count(name.lower()) > 1})
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
    columns = SourceColumns(source.key, kept, template.columns)
    odd = [name for name in columns.needed if "." in name or "`" in name]
    if odd:
        raise ConfigError(
            f"source: its column {odd[0]} has a dot or a backtick in its name, which Spark cannot "
            "hand to Python; rename it, or list the columns to keep, without it, in source.columns"
        )
    _check_key_types(df, source.key)
    return columns


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


# By name, because older Sparks lack some of them.
_UNREADABLE = ("YearMonthIntervalType", "CalendarIntervalType")
_FORMLESS = (*_UNREADABLE, "VariantType")


def check_types(schema: T.StructType, needed: Iterable[str], template: BodyTemplate) -> None:
    """Raise ConfigError for columns that Python cannot be handed, or that have no place in a body.

    needed: all columns that prepare reads
    """
    for name in needed:
        is_rendered = name in template.columns
        found = _found(schema[name].dataType, _FORMLESS if is_rendered else _UNREADABLE)
        if found:
            where = "request" if is_rendered else "source.columns"
            raise ConfigError(
                f"{where}: {name} holds the type {found}, which cannot be read; cast it to a "
                "string, or turn it into one by to_json"
            )
    for placeholder in template.media:
        if not placeholder.path:
            _check_media(placeholder.column, schema[placeholder.column].dataType)


def _check_media(name: str, kind: T.DataType) -> None:
    one = kind.elementType if isinstance(kind, T.ArrayType) else kind
    if not isinstance(one, (T.StringType, T.BinaryType)):
        raise ConfigError(
            f"request: {name} is a {kind.simpleString()}; images and documents are bytes, s3:// "
            "URIs, or an array of either"
        )


def _found(kind: T.DataType, names: tuple[str, ...]) -> str | None:
    """Return a type of one of these names inside of another, as Spark writes it."""
    if type(kind).__name__ in names:
        return kind.simpleString()
    if isinstance(kind, T.ArrayType):
        inside = [kind.elementType]
    elif isinstance(kind, T.MapType):
        inside = [kind.keyType, kind.valueType]
    else:
        inside = [f.dataType for f in kind.fields] if isinstance(kind, T.StructType) else []
    return next((f for f in (_found(k, names) for k in inside) if f), None)
