"""Read the source, once, and check the columns that the config names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.config import SourceConfig
from bedrock_spark.config.secrets import FromEnvironment, resolve_options, without_secrets
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import check_columns
from bedrock_spark.run_folder.source_run import named_run
from bedrock_spark.schema import first_repeated, is_internal, is_reserved, is_usable
from bedrock_spark.spark.errors import config_errors, source_errors
from bedrock_spark.templates.body_template import BodyTemplate


@dataclass(frozen=True)
class SourceColumns:
    """The columns of the key, the columns kept for the results, the columns that are rendered.

    corrupt: the column with the text of each record that Spark could not parse, if there is one
    decoded: the rendered columns in which U+FFFD stands for bytes that Spark could not decode
    """

    key: tuple[str, ...]
    kept: tuple[str, ...]
    rendered: tuple[str, ...]
    corrupt: str | None = None
    decoded: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Return every column that prepare reads."""
        corrupt = () if self.corrupt is None else (self.corrupt,)
        return tuple(dict.fromkeys((*self.kept, *self.rendered, *corrupt)))


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


# Spark's default name: https://spark.apache.org/docs/latest/sql-data-sources-json.html
_CORRUPT = "_corrupt_record"
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
    names = df.columns
    check_columns(tuple(source.rename), names, "source.rename")
    several = next((name for name in source.rename if names.count(name) > 1), None)
    if several is not None:
        raise ConfigError(
            f"source.rename: the source has more than one column {several}; select one in "
            "source.sql"
        )
    # By position, so that any name can be replaced: also one with a dot, or in another case.
    return df.toDF(*(source.rename.get(name, name) for name in names))


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
    names = df.columns
    # Spark ignores the case of column names, unless the session has spark.sql.caseSensitive.
    repeated = first_repeated(names)
    if repeated is not None:
        raise ConfigError(
            f"source: has more than one column {repeated}, if case is ignored; rename one by "
            "source.rename, or select others in source.sql"
        )
    corrupt = _corrupt_column(source, names)
    if corrupt is not None:
        _refuse_unparsed(source, corrupt, names, template)
    check_columns(source.key, names, "source.key")
    check_columns(source.columns or (), names, "source.columns")
    check_columns(template.columns, names, "request")
    kept = tuple(dict.fromkeys((*source.key, *(source.columns or names))))
    _refuse_reserved(kept, template.columns)
    decoded = () if is_handed_in or not _replaces_bytes(source) else template.columns
    columns = SourceColumns(source.key, kept, template.columns, corrupt, decoded)
    unusable = next((name for name in columns.needed if not is_usable(name)), None)
    if unusable is not None:
        raise ConfigError(
            f"source: its column {unusable!r} has a name that Spark cannot hand to Python (it has "
            f"a dot or a backtick, is * or is empty); rename it by source.rename: {{{unusable!r}: "
            "…}, or list the columns to keep, without it, in source.columns"
        )
    _check_key_types(df, source.key)
    return columns


def _option(source: SourceConfig, *names: str) -> object:
    """Return an option of Spark's reader by any of its names, in lower case; None if not set."""
    return next((v for k, v in source.options.items() if k.lower() in names), None)


def _corrupt_column(source: SourceConfig, names: Sequence[str]) -> str | None:
    """Return the column in which Spark keeps records that it could not parse, if there is one."""
    name = str(_option(source, "columnnameofcorruptrecord") or _CORRUPT)
    name = source.rename.get(name, name)
    return name if name in names else None


def _refuse_unparsed(
    source: SourceConfig, corrupt: str, names: Sequence[str], template: BodyTemplate
) -> None:
    """Raise ConfigError if Spark could parse so little that columns of the config are missing."""
    wanted = (*source.key, *(source.columns or ()), *template.columns)
    missing = next((name for name in wanted if name not in names), None)
    if missing is not None:
        raise ConfigError(
            f"source: it has no column {missing}, and Spark could not parse records: it put them "
            f"into the column {corrupt}. {hint_for_corrupt(source)}".rstrip()
        )


def hint_for_corrupt(source: SourceConfig) -> str:
    """Return what to do if Spark could not parse records; "" if there is nothing to say."""
    if (source.format or "").lower() != "json" or _option(source, "multiline") is not None:
        return ""
    return (
        "If a file is one JSON array, or its objects span lines, set source.options: "
        "{multiLine: true}"
    )


def _replaces_bytes(source: SourceConfig) -> bool:
    """Tell whether Spark writes U+FFFD for bytes of this source that it cannot decode.

    It does so for CSV and XML, and for JSON and text not. If the config names an encoding, U+FFFD
    is taken for a character of the file.
    """
    is_decoded = source.path is not None and (source.format or "").lower() in ("csv", "xml")
    return is_decoded and _option(source, "encoding", "charset") is None


def _refuse_reserved(kept: Iterable[str], rendered: Iterable[str]) -> None:
    """Raise ConfigError for names that the package's own columns have, in whatever case."""
    for name in kept:
        if is_reserved(name):
            raise ConfigError(
                f"source: its column {name} has a name that the package's own columns have; rename "
                "it by source.rename, or list the columns to keep, without it, in source.columns"
            )
    for name in rendered:
        if is_internal(name):
            raise ConfigError(
                f"request: the column {name} has a name that the package's own columns have; "
                "rename it by source.rename"
            )


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
