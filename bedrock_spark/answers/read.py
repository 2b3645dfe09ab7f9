"""Read parts of a file of answers: some columns of some row groups, and no more of the file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.answers.store import AnswersFile
from bedrock_spark.answers.table import BODY_HASH, SCHEMA, WITH_DICTIONARY
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import AnswerStoreError, StorageAccessError, StorageError
from bedrock_spark.storage import LocalStorage, Storage
from bedrock_spark.storage.range_file import WHOLE_BYTES, RangeFile


@dataclass(frozen=True)
class Group:
    """A row group: its number in the file, its rows, and its lowest and highest hash.

    row_bytes: the average of its rows, in memory
    """

    number: int
    rows: int
    first: int
    last: int
    row_bytes: int


class OpenAnswers:
    """A file of answers while it is read. Close it.

    may_hold: whether its bytes may be in memory until then, if it is small: that saves calls
    Every method raises AnswerStoreError if the file is damaged, or was deleted or changed since it
    was listed.
    """

    def __init__(self, storage: Storage, file: AnswersFile, *, may_hold: bool = True) -> None:
        self.file = file
        self.held_bytes = 0
        self._uri = join_uri(storage.uri, file.key)
        with self._clear_errors():
            source = _source(storage, file, may_hold=may_hold)
            if isinstance(source, io.BytesIO):
                self.held_bytes = file.size
            metadata = pq.read_metadata(source)
            missing = [name for name in SCHEMA.names if name not in metadata.schema.names]
            if missing:
                raise AnswerStoreError(
                    f"{self._uri}: has no column {missing[0]}, so it is no file of answers; move "
                    "it out of the store",
                    key=file.key,
                )
            self._parquet = pq.ParquetFile(
                source,
                metadata=metadata,
                read_dictionary=WITH_DICTIONARY,
                pre_buffer=not isinstance(storage, LocalStorage),
            )
            self.groups = tuple(self._groups())

    def _groups(self) -> Iterator[Group]:
        metadata = self._parquet.metadata
        place = metadata.schema.names.index(BODY_HASH)
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            statistics = group.column(place).statistics
            has_range = statistics is not None and statistics.has_min_max
            first, last = self.file.first, self.file.last
            if has_range:
                first, last = statistics.min, statistics.max
            row_bytes = group.total_byte_size // max(1, group.num_rows)
            yield Group(number, group.num_rows, first, last, row_bytes)

    def groups_of(self, first: int, last: int) -> list[Group]:
        """Return the row groups that may have hashes from `first` to `last`, both included."""
        return [group for group in self.groups if group.first <= last and first <= group.last]

    def range_of(self, column: str) -> tuple[Any, Any] | None:
        """Return the lowest and the highest value of a column, by the statistics of the file.

        None if a row group has no statistics, or has nulls there, or if another tool wrote it as
        another type.
        """
        kind = self._parquet.schema_arrow.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if kind != SCHEMA.field(column).type:
            return None
        metadata = self._parquet.metadata
        place = metadata.schema.names.index(column)
        found: list[Any] = []
        for number in range(metadata.num_row_groups):
            statistics = metadata.row_group(number).column(place).statistics
            if statistics is None or not statistics.has_min_max or statistics.null_count != 0:
                return None
            found += [statistics.min, statistics.max]
        return (min(found), max(found)) if found else None

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Return some columns of a row group."""
        with self._clear_errors():
            table = self._parquet.read_row_group(group, columns=list(columns), use_threads=False)
            return table.select(columns)

    def close(self) -> None:
        """Close the file."""
        self._parquet.close(force=True)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (StorageAccessError, MemoryError):
            raise
        except (StorageError, pa.ArrowException, OSError, ValueError) as exc:
            # Arrow's own errors about the content of a file are OSErrors, too, but without a code.
            code = exc.errno if isinstance(exc, OSError) else None
            if code is not None and not isinstance(exc, FileNotFoundError):
                message = (
                    f"{self._uri}: cannot be read: {os.strerror(code)}. The file may be whole: do "
                    "not delete it; remove the cause, and run the same command again"
                )
            elif isinstance(exc, (StorageError, FileNotFoundError)):
                message = (
                    f"{self._uri}: cannot be read, or was deleted since this command listed the "
                    "store; run the same command again. Only `bedrock-spark answers compact` may "
                    "delete files there"
                )
            else:
                message = (
                    f"{self._uri}: is no whole Parquet file of answers; delete it, and what it had "
                    "is asked again, or restore it from a backup"
                )
            raise AnswerStoreError(message, key=self.file.key) from exc


def _source(
    storage: Storage, file: AnswersFile, *, may_hold: bool
) -> Path | io.BytesIO | pa.PythonFile:
    if isinstance(storage, LocalStorage):
        return storage.fetch(file.key, Path())
    if may_hold and file.size <= WHOLE_BYTES:
        return io.BytesIO(storage.read(file.key))
    return pa.PythonFile(RangeFile(storage, file.key, file.size), mode="r")
