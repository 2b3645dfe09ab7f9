"""The results of one unit, read by row group: a few columns of a few groups, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.run_folder.results_file import open_results_file
from bedrock_spark.storage import LocalStorage, Storage

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
    """The results file of a unit while it is read. Close it, or use it as a context.

    schema: of its columns; groups: the number of row groups
    Raises RunFolderError if the unit has no results, and if they are damaged.
    """

    def __init__(self, storage: Storage, unit: str) -> None:
        self.unit = unit
        self._uri = storage.uri
        source = open_results_file(storage, unit)
        with self._clear_errors():
            self._file = pq.ParquetFile(
                source, pre_buffer=not isinstance(storage, LocalStorage)
            )
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
