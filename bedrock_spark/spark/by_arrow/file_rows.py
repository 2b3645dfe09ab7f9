"""Some rows of a source of plain files, rendered as prepare renders them, without Spark."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from pyarrow import parquet as pq

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, SourceConfig
from bedrock_spark.config.row_choice import KeySearch, RowChoice
from bedrock_spark.errors import PlanError, SourceError
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.by_arrow import parquet_files
from bedrock_spark.spark.by_arrow.csv_files import csv_batches
from bedrock_spark.spark.by_arrow.json_files import json_batches, refuse_untold_types
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError, why_spark
from bedrock_spark.spark.by_arrow.source_files import SourceFiles, find_files
from bedrock_spark.spark.prepare.lint_rows import refuse_batch
from bedrock_spark.spark.prepare.row_rendering import RenderedRow, RenderRows, read_rendered
from bedrock_spark.spark.prepare.source_columns import (
    SourceColumns,
    choose_names,
    refuse_key_type,
    renamed_columns,
)
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.storage.range_file import RangeFile
from bedrock_spark.templates.body_template import BodyTemplate

# More bytes of text files are not read for rows at random or with certain keys.
_MOST_TEXT_BYTES = 64_000_000
# More bytes of Parquet files are not searched for keys.
_MOST_SEARCHED_BYTES = 1_000_000_000


@dataclass(frozen=True)
class FileRows:
    """Some rows of a source, all columns. Each config renders them in its own way.

    config: its source was read
    batch: the rows; columns: what the config needs of them
    """

    config: Config
    aws: AwsSettings
    files: SourceFiles
    batch: pa.RecordBatch
    columns: SourceColumns

    def rendered(self, config: Config, *, is_checked: bool = True) -> list[RenderedRow]:
        """Return each row as a config renders it.

        is_checked: whether bodies that the model would refuse are an error, as in prepare
        Raises ConfigError for a column that the source does not have, and NeedsSparkError.
        """
        template = body_template(config)
        own, names = self.columns, self.batch.schema.names
        _refuse_types(self.batch, template, config)
        check_columns(template.columns, names, "request")
        columns = SourceColumns(
            *(own.key, own.kept, template.columns, own.corrupt),
            template.columns if own.decoded else (),
        )
        needed = self.batch.select(list(columns.needed))
        if is_checked:
            refuse_batch(needed.select(list(template.columns)), config, self.aws)
        made = RenderRows(config, columns, self.aws)(iter([needed]))
        return read_rendered(
            row for each in made for row in zip(*(c.to_pylist() for c in each), strict=True)
        )

    def size(self, config: Config) -> SourceSize:
        """Estimate the size of the whole source as a config renders it, from these rows.

        The number of rows is that of the files if their footers tell it and they are few; else it
        is estimated from the bytes of the files.
        """
        lines = [row.line for row in self.rendered(config, is_checked=False) if row.line]
        mean = sum(line.line_bytes for line in lines) / max(1, len(lines))
        return SourceSize(self._records, round(self._records * mean))

    @cached_property
    def _records(self) -> int:
        """Return the number of rows of the source: read, or estimated from the files read."""
        chosen = self.files.chosen
        if _form(self.config.source) != "parquet":
            return self._text_records()
        rows: int = sum(pq.read_metadata(self.files.open(stored)).num_rows for stored in chosen)
        size = sum(stored.size for stored in chosen)
        return rows if self.files.is_whole else round(rows * self.files.size / max(1, size))

    def _text_records(self) -> int:
        """Return the number of rows of text files: exact if they are small."""
        form = _form(self.config.source)
        is_counted = self.files.is_whole and self.files.size <= _MOST_TEXT_BYTES
        rows = size = 0
        try:
            for stored in self.files.chosen:
                for batch in _text_batches(self.files.open(stored), self.config.source):
                    rows, size = rows + batch.num_rows, size + _text_bytes(batch, form)
                    if not is_counted and size >= _MOST_TEXT_BYTES // 8:
                        break
        except NeedsSparkError:
            # A later value is odd: then the rows that were read have to do.
            rows, size = self.batch.num_rows, _text_bytes(self.batch, form)
            is_counted = False
        return rows if is_counted else round(rows * self.files.size / max(1, size))


def first_batches(source: SourceConfig, aws: AwsSettings, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the first rows of a source, all columns: `rows` rows or some more.

    Raises NeedsSparkError if Arrow may not read them, SourceError, and StorageError.
    """
    path = _path_for_arrow(source)
    with _arrow_errors(source):
        files = find_files(path, aws, None)
        yield from _first_batches(files, source, rows)


def _path_for_arrow(source: SourceConfig, where: str | None = None) -> str:
    """Return the path of a source. Raises NeedsSparkError if Arrow may not read it."""
    why = why_spark(source, where)
    if why is not None or source.path is None:
        raise NeedsSparkError(why)
    return source.path


def _first_batches(files: SourceFiles, source: SourceConfig, rows: int) -> Iterator[pa.RecordBatch]:
    if _form(source) == "parquet":
        opened = (parquet_files.open_parquet(files.open(stored)) for stored in files.chosen)
        found = (batch for file in opened for batch in parquet_files.first_rows(file, rows))
    else:
        found = (b for stored in files.chosen for b in _text_batches(files.open(stored), source))
    left = rows
    for batch in found:
        yield batch
        left -= batch.num_rows
        if left <= 0:
            return


@contextmanager
def _arrow_errors(source: SourceConfig) -> Iterator[None]:
    """Raise what Arrow says of a file as a SourceError, without a value of a row."""
    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        # Of Parquet only: its messages name columns and places in the file, and no value.
        raise SourceError(
            f"source.path = {source.path!r}: cannot be read as {source.format}: "
            f"{str(exc).splitlines()[0]}"
        ) from None


def read_file_rows(config: Config, aws: AwsSettings, choice: RowChoice) -> FileRows:
    """Return some rows of a config's source, if Arrow reads them as Spark does.

    Raises NeedsSparkError if it may not, SourceError, StorageError, ConfigError, and PlanError if
    there is no row.
    """
    source = config.source
    path, search = _path_for_arrow(source, choice.where), KeySearch(choice)
    with _arrow_errors(source):
        files = find_files(path, aws, choice.seed)
        batch = _read(files, source, choice, search)
    search.end()
    if not batch.num_rows:
        conditions = choice.said()
        what = f"has no row for which {conditions}" if conditions else "has no rows"
        raise PlanError(f"source: {what}, so there is nothing to ask")
    if source.rename:
        batch = batch.rename_columns(renamed_columns(batch.schema.names, source))
    template = body_template(config)
    _refuse_types(batch, template, config)
    columns = choose_names(batch.schema.names, source, template)
    refuse_clashes(columns.kept, config.results)
    for name in source.key:
        kind = batch.schema.field(name).type
        is_nested = pa.types.is_nested(kind)
        is_float = pa.types.is_floating(kind)
        refuse_key_type(name, str(kind), is_float=is_float, is_nested=is_nested)
    return FileRows(config, aws, files, batch, columns)


def _form(source: SourceConfig) -> str:
    return (source.format or "").lower()


def _refuse_types(batch: pa.RecordBatch, template: BodyTemplate, config: Config) -> None:
    """Raise NeedsSparkError for columns whose type only Spark knows, or has to refuse."""
    if _form(config.source) == "json":
        missing = [n for n in config.source.key if n not in batch.schema.names]
        if missing:
            raise NeedsSparkError(f"the first rows of the JSON have no column {missing[0]}")
        refuse_untold_types(batch, template.columns)
    for placeholder in template.media:
        if placeholder.path or placeholder.column not in batch.schema.names:
            continue
        kind = batch.schema.field(placeholder.column).type
        kind = kind.value_type if pa.types.is_list(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
            raise NeedsSparkError(f"the column {placeholder.column} has the type {kind}")


def _read(
    files: SourceFiles, source: SourceConfig, choice: RowChoice, search: KeySearch
) -> pa.RecordBatch:
    """Return the chosen rows as one batch; one without rows if there are none."""
    if not choice.keys and choice.seed is None:
        return _one_batch(_first_batches(files, source, choice.rows), choice.rows)
    count = len(choice.keys) or choice.rows
    if _form(source) == "parquet":
        return _one_batch(_parquet_rows(files, source, choice, search), count)
    if files.size > _MOST_TEXT_BYTES:
        raise NeedsSparkError(f"the files have {files.size:,} bytes, which are read as a whole")
    if choice.keys and not files.is_whole:
        raise NeedsSparkError(f"the key may be in any of {files.files:,} files")
    batches = (
        batch for stored in files.chosen for batch in _text_batches(files.open(stored), source)
    )
    if choice.keys:
        return _one_batch((_with_keys(batch, source, search) for batch in batches), count)
    whole = _one_batch(batches, None)
    places = random.Random(choice.seed).sample(
        range(whole.num_rows), min(choice.rows, whole.num_rows)
    )
    return whole.take(pa.array(sorted(places), pa.int64()))


def _parquet_rows(
    files: SourceFiles, source: SourceConfig, choice: RowChoice, search: KeySearch
) -> Iterator[pa.RecordBatch]:
    opened = (parquet_files.open_parquet(files.open(stored)) for stored in files.chosen)
    if choice.keys:
        if not files.is_whole or files.size > _MOST_SEARCHED_BYTES:
            raise NeedsSparkError(
                f"the key may be in any of {files.files:,} files of {files.size:,} bytes"
            )
        columns = _names_in_file(source)
        for file in opened:
            yield from parquet_files.rows_with_keys(file, columns, search)
    else:
        assert choice.seed is not None
        yield from parquet_files.random_rows([*opened], choice.rows, choice.seed)


def _names_in_file(source: SourceConfig) -> tuple[str, ...]:
    """Return the columns of the key as the files name them."""
    before = {new: old for old, new in source.rename.items()}
    return tuple(before.get(name, name) for name in source.key)


def _with_keys(batch: pa.RecordBatch, source: SourceConfig, search: KeySearch) -> pa.RecordBatch:
    columns = _names_in_file(source)
    missing = next((name for name in columns if name not in batch.schema.names), None)
    if missing is not None:
        raise NeedsSparkError(f"some rows have no column {missing}")
    return batch.take(parquet_files.places_of_keys(batch, columns, search))


_TEXT_READERS: dict[str, Callable[[RangeFile, SourceConfig], Iterator[pa.RecordBatch]]] = {
    "csv": csv_batches,
    "json": lambda file, _: json_batches(file),
}


def _text_batches(file: RangeFile, source: SourceConfig) -> Iterator[pa.RecordBatch]:
    return _TEXT_READERS[_form(source)](file, source)


def _one_batch(batches: Iterator[pa.RecordBatch], most: int | None) -> pa.RecordBatch:
    """Return up to `most` rows of some batches as one. Raises NeedsSparkError if schemas differ."""
    kept: list[pa.RecordBatch] = []
    left = most
    for batch in batches:
        kept.append(batch if left is None else batch.slice(0, left))
        left = None if left is None else left - kept[-1].num_rows
        if left is not None and left <= 0:
            break
    if not kept:
        return pa.record_batch({})
    try:
        table = pa.Table.from_batches(kept).combine_chunks()
    except pa.ArrowInvalid:
        raise NeedsSparkError("the files do not all have the same columns") from None
    found = table.to_batches()
    return found[0] if found else kept[0].slice(0, 0)


def _text_bytes(batch: pa.RecordBatch, form: str) -> int:
    """Return about how many bytes of its file the rows of a batch take."""
    names = sum(map(len, batch.schema.names)) if form == "json" else 0
    marks = (6 if form == "json" else 1) * batch.num_columns
    size: int = batch.nbytes
    size += batch.num_rows * (names + marks)
    return size
