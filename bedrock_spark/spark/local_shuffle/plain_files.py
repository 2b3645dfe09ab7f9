"""Find out whether the local shuffle may read a source, and what is in its files.

It may if Arrow reads the same rows, types and values from these files as Spark does. What is not
known to be the same, or fails, is left to Spark, which also has the better errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import parquet as pq
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import Config
from bedrock_spark.spark.by_arrow import parquet_files
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError, is_true
from bedrock_spark.spark.errors import SPARK_ERRORS
from bedrock_spark.spark.local.one_machine import is_one_machine
from bedrock_spark.spark.local_shuffle.column_types import (
    arrow_type_of,
    as_spark_has,
    is_stored_as,
    types_in_file,
)
from bedrock_spark.spark.local_shuffle.key_hashes import is_hashed
from bedrock_spark.spark.prepare.table import SourceTable
from bedrock_spark.spark.tasks import classic_context

log = logging.getLogger(__name__)

# The footers of more files are not read by the driver alone.
_MOST_FILES = 1_000
# Arrow reads a column of a row group by pieces of this size.
_READ_BYTES = 1_000_000
# The size of records is estimated from the first rows of a few files.
_SAMPLED_FILES, _SAMPLED_ROWS = 4, 500
# By the first two, local files are not to be large, or to be read by others. By the rest, Spark
# reads other values, or hands them to Python in other types.
_SETTINGS = (
    "spark.shuffle.compress",
    "spark.io.encryption.enabled",
    "spark.sql.execution.arrow.useLargeVarTypes",
    "spark.sql.parquet.fieldId.read.enabled",
    "spark.sql.parquet.int96TimestampConversion",
)


@dataclass(frozen=True)
class FileVersion:
    """A file as it was when its footer was read."""

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: str) -> FileVersion:
        """Return a file as it is now. Raises OSError."""
        status = Path(path).stat()
        return cls(path, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class RowGroup:
    """A part of a file. size: of the needed columns in bytes, encoded and not compressed"""

    file: FileVersion
    number: int
    rows: int
    size: int


@dataclass(frozen=True)
class FileColumns:
    """The needed columns of the files. It is sent to every task, so it names no file.

    names: in the files; key: those of them that are the key
    schema: as Spark hands them to Python, after `source.rename`
    """

    names: tuple[str, ...]
    key: tuple[str, ...]
    schema: pa.Schema

    def read(self, file: FileVersion, groups: Sequence[int], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some row groups of a file as Spark has them.

        groups: their numbers; rows: of a batch, at most
        Raises NeedsSparkError, ArrowException, and OSError.
        """
        if FileVersion.of(file.path) != file:
            raise NeedsSparkError("a file has changed")
        with _opened(file) as opened:
            types = types_in_file(opened)
            kinds = [types[name] for name in self.names]
            for batch in opened.iter_batches(
                rows, row_groups=list(groups), columns=list(self.names), use_threads=False
            ):
                yield as_spark_has(batch.select(list(self.names)), kinds, self.schema)


@dataclass(frozen=True)
class PlainFiles:
    """The rows of a source that Arrow reads as Spark does. sample: some rows"""

    groups: tuple[RowGroup, ...]
    columns: FileColumns
    sample: pa.RecordBatch

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return sum(group.rows for group in self.groups)

    @property
    def row_bytes(self) -> int:
        """Return about how many bytes a row has in memory: rather too many."""
        encoded = sum(group.size for group in self.groups) // max(1, self.rows)
        sampled: int = self.sample.nbytes // max(1, self.sample.num_rows)
        return max(1, encoded, sampled)


def find_plain_files(spark: SparkSession, config: Config, table: SourceTable) -> PlainFiles | None:
    """Return the files of a source if the local shuffle may read them; None if Spark has to."""
    try:
        return _plain_files(spark, config, table)
    except NeedsSparkError as exc:
        log.debug("Spark reads the source: %s", exc)
    except (pa.ArrowException, OSError, *SPARK_ERRORS) as exc:
        log.debug("Spark reads the source: %s", type(exc).__name__)
    return None


def _plain_files(spark: SparkSession, config: Config, table: SourceTable) -> PlainFiles:
    source, columns = config.source, table.columns
    context = classic_context(spark)
    if context is None or not is_one_machine(context.master):
        raise NeedsSparkError("its tasks may run on other machines")
    is_parquet = source.path is not None and (source.format or "").lower() == "parquet"
    if not (table.is_cheap and is_parquet):
        raise NeedsSparkError("the source is no Parquet")
    if source.where is not None or source.options:
        raise NeedsSparkError("the config chooses rows or has options")
    if config.shares_records or config.hashes_bodies or not columns.key:
        raise NeedsSparkError("the hashes are of bodies")
    if source.on_duplicate_key == "first":
        raise NeedsSparkError("rows of one key must be put in order")
    if table.template.media:
        raise NeedsSparkError("the template reads images or documents")
    changed = next((n for n in _SETTINGS if is_true(spark.conf.get(n, "false"))), None)
    if changed is not None:
        raise NeedsSparkError(f"the session has {changed}")
    in_file = dict(zip(table.full.columns, table.source.columns, strict=True))
    names = tuple(in_file[name] for name in columns.needed)
    zone = str(spark.conf.get("spark.sql.session.timeZone"))
    schema = pa.schema(
        [(name, arrow_type_of(table.full.schema[name].dataType, zone)) for name in columns.needed]
    )
    odd = next((n for n in columns.key if not is_hashed(schema.field(n).type)), None)
    if odd is not None:
        raise NeedsSparkError(f"the column {odd} of the key has the type {schema.field(odd).type}")
    files = [FileVersion.of(path) for path in _paths(table.source)]
    folders = {str(Path(file.path).parent).lower() for file in files}
    if any(f"/{name.lower()}=" in folder for name in names for folder in folders):
        raise NeedsSparkError("the name of a folder has the value of a column")
    groups = [group for file in files for group in _groups(file, names, schema)]
    having = [group for group in groups if group.rows]
    needed = FileColumns(names, columns.key, schema)
    return PlainFiles(tuple(having), needed, _sample(having, needed))


def _paths(source: DataFrame) -> list[str]:
    """Return the local paths of the files that Spark would read."""
    found = source._jdf.inputFiles()
    if len(found) > _MOST_FILES:
        raise NeedsSparkError("the source has many files")
    paths = []
    for uri in found:
        parts = urlsplit(str(uri))
        if parts.scheme != "file" or parts.netloc:
            raise NeedsSparkError("the files are not on this machine")
        paths.append(unquote(parts.path))
    if not paths:
        raise NeedsSparkError("the source has no file")
    return sorted(paths)


def _groups(file: FileVersion, names: Sequence[str], schema: pa.Schema) -> Iterator[RowGroup]:
    """Yield the row groups of a file. Raises NeedsSparkError for another schema."""
    with _opened(file) as opened:
        if any("." in name for name in names):
            raise NeedsSparkError("Arrow takes a dot in a name for a field of a struct")
        parquet_files.refuse_types(opened, names)
        kinds = types_in_file(opened)
        for name, wanted in zip(names, schema.types, strict=True):
            if not is_stored_as(kinds[name], wanted):
                raise NeedsSparkError(f"a file has the column {name} as {kinds[name]}")
        leaves = [opened.schema.column(n).path for n in range(len(opened.schema))]
        needed = [n for n, path in enumerate(leaves) if path.partition(".")[0] in names]
        for number in range(opened.metadata.num_row_groups):
            group = opened.metadata.row_group(number)
            size = sum(group.column(n).total_uncompressed_size for n in needed)
            yield RowGroup(file, number, group.num_rows, size)


def _opened(file: FileVersion) -> pq.ParquetFile:
    # Otherwise Arrow reads the columns of a row group whole, and some versions ahead of the rows.
    return pq.ParquetFile(
        file.path,
        buffer_size=_READ_BYTES,
        pre_buffer=False,
        coerce_int96_timestamp_unit="us",
    )


def _sample(groups: Sequence[RowGroup], columns: FileColumns) -> pa.RecordBatch:
    """Return the first rows of a few row groups."""
    step = max(1, len(groups) // _SAMPLED_FILES)
    found = [pa.Table.from_batches([], schema=columns.schema)]
    for group in groups[::step][:_SAMPLED_FILES]:
        first = next(columns.read(group.file, [group.number], _SAMPLED_ROWS))
        found.append(pa.Table.from_batches([first]))
    together = pa.concat_tables(found).combine_chunks().to_batches()
    return together[0] if together else pa.RecordBatch.from_pylist([], schema=columns.schema)
