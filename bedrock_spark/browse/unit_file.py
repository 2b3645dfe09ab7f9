"""The results of one unit, read by row group: a few columns of a few groups, and no more."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.run_folder.results_file import open_results_file
from bedrock_spark.storage import LocalStorage, Storage
from bedrock_spark.storage.range_file import RangeFile

_BATCH_ROWS = 1_000
_PLACE = re.compile(r"((?:shard|rejects|kept)-[0-9-]{1,40})\.(\d{1,9})\.(\d{1,9})")


@dataclass(frozen=True)
class Place:
    """Where a result row is: the unit, the row group in its file, the row in the group, from 0."""

    unit: str
    group: int = 0
    row: int = 0

    def __str__(self) -> str:
        """Return it as an address holds it, such as `shard-00042-00.0.17`."""
        return f"{self.unit}.{self.group}.{self.row}"

    @classmethod
    def of(cls, text: str) -> Place:
        """Return the place that such a text names. Raises ConfigError if it names none."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ConfigError(f"{text!r}: is not the place of a row, such as shard-00042-00.0.17")
        return cls(found[1], int(found[2]), int(found[3]))


class UnitFile:
    """The results of a unit, or its source rows, while they are read. Close it after use.

    unit: its name; source: its file; None for its results
    schema: of its columns; groups: the number of row groups
    Raises RunFolderError if the unit has no results, and if they are damaged.
    """

    def __init__(
        self, storage: Storage, unit: str, source: Path | io.BytesIO | RangeFile | None = None
    ) -> None:
        self.unit = unit
        self._uri = storage.uri
        source = open_results_file(storage, unit) if source is None else source
        with self._clear_errors():
            self._file = pq.ParquetFile(source, pre_buffer=not isinstance(storage, LocalStorage))
            self.schema: pa.Schema = self._file.schema_arrow
        self.groups: int = self._file.metadata.num_row_groups

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)

    def metadata(self, group: int) -> Any:
        """Return the metadata of a row group, with its statistics."""
        return self._file.metadata.row_group(group)

    def rows(self, group: int) -> int:
        """Return the number of rows of a row group; 0 if there is no such group."""
        return int(self.metadata(group).num_rows) if 0 <= group < self.groups else 0

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Return some columns of a row group; those that the file does not have are left out."""
        names = [name for name in columns if name in self.schema.names]
        with self._clear_errors():
            table = self._file.read_row_group(group, columns=names, use_threads=False)
        return table.select(names)

    def find(self, column: str, value: str) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Yield the rows with a text in a column, by row group. Statistics rule groups out."""
        for group in range(self.groups):
            if may_hold(self.metadata(group), column, (value,)):
                is_it = pc.equal(self.read(group, [column]).column(0), value)
                rows = np.flatnonzero(pc.fill_null(is_it, False).to_numpy())
                if len(rows):
                    yield group, rows

    def take(
        self, group: int, rows: npt.NDArray[np.int64] | Sequence[int], columns: Sequence[str]
    ) -> pa.Table:
        """Return some columns of some rows of a row group, in the order of `rows`.

        The group is decoded as far as the last of these rows.
        """
        names = [name for name in columns if name in self.schema.names]
        wanted = np.asarray(rows, np.int64)
        if not wanted.size:
            return self.schema.empty_table().select(names)
        last, read, held = int(wanted.max()), 0, []
        with self._clear_errors():
            for batch in self._file.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=names, use_threads=False
            ):
                here = np.unique(wanted[(wanted >= read) & (wanted < read + batch.num_rows)])
                held.append(batch.take(pa.array(here - read)))
                read += batch.num_rows
                if read > last:
                    break
            table = pa.Table.from_batches(held).select(names)
        return table.take(pa.array(np.searchsorted(np.unique(wanted), wanted)))

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as exc:
            raise RunFolderError(
                f"{self._uri}: the results of {self.unit} are damaged, or were collected again "
                "meanwhile; look again, or run bedrock-spark collect"
            ) from exc


def may_hold(group: Any, name: str, values: Sequence[str]) -> bool:
    """Tell by its statistics whether a row group may have one of some values in a column.

    group: its metadata (pyarrow's RowGroupMetaData); values: as texts
    """
    place = next((i for i in range(group.num_columns) if _path(group, i) == name), None)
    if place is None:
        return True
    statistics = group.column(place).statistics
    if statistics is None:
        return True
    if statistics.has_null_count and statistics.null_count == group.num_rows:
        return False
    if not statistics.has_min_max:
        return True
    first, last = statistics.min, statistics.max
    if isinstance(first, bool):
        return True
    if isinstance(first, int):
        # A value that is no whole number is in no such column.
        numbers = [int(value) for value in values if value.removeprefix("-").isdecimal()]
        return any(first <= number <= last for number in numbers)
    if isinstance(first, str):
        return any(first <= value <= last for value in values)
    return True


def _path(group: Any, place: int) -> str:
    path: str = group.column(place).path_in_schema
    return path
