"""Read the results of a run as compact rows, one file at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.errors import RunFolderError
from bedrock_spark.pairs.compact import compact
from bedrock_spark.pairs.sides import Side
from bedrock_spark.run_folder.results_file import open_results_file
from bedrock_spark.storage import LocalStorage, Storage

_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class ResultFiles:
    """The results files of a run; can be sent to executors. units: in the order of the manifest."""

    storage: Storage
    units: tuple[str, ...]

    def open(self, index: int) -> pq.ParquetFile:
        """Return a results file. Raises RunFolderError if its unit is not collected."""
        source = open_results_file(self.storage, self.units[index])
        return pq.ParquetFile(source, pre_buffer=not isinstance(self.storage, LocalStorage))

    def schema(self) -> pa.Schema:
        """Return the columns of the first file. Raises RunFolderError if it is not collected."""
        with self._clear_errors(0), self.open(0) as file:
            return file.schema_arrow

    def compact(self, index: int, side: Side) -> Iterator[pa.RecordBatch]:
        """Yield the compact rows of a file. Raises RunFolderError if it lacks a column."""
        needed, row = side.read, 0
        with self._clear_errors(index), self.open(index) as file:
            missing = [name for name in needed if name not in file.schema_arrow.names]
            if missing:
                raise RunFolderError(
                    f"{self.storage.uri}: the results of {self.units[index]} have no column "
                    f"{missing[0]}, because the config's results section has changed; run collect "
                    "again"
                )
            for batch in file.iter_batches(_BATCH_ROWS, columns=needed):
                found = compact(batch.select(side.needed), side, index, row)
                yield found if side.where is None else found.filter(side.where.holds(batch))
                row += batch.num_rows

    def rows(self, wanted: dict[int, list[int]], columns: list[str]) -> dict[tuple[int, int], Any]:
        """Return some rows by the number of their file and of the row in it.

        wanted: the rows of each file
        """
        found: dict[tuple[int, int], Any] = {}
        for index, rows in wanted.items():
            first, left = 0, sorted(set(rows))
            with self._clear_errors(index), self.open(index) as file:
                for group in range(file.metadata.num_row_groups):
                    end = first + file.metadata.row_group(group).num_rows
                    here = [row for row in left if first <= row < end]
                    if here:
                        table = file.read_row_group(group, columns=columns)
                        values = table.take([row - first for row in here]).to_pylist()
                        found.update(((index, r), v) for r, v in zip(here, values, strict=True))
                    first = end
        return found

    @contextmanager
    def _clear_errors(self, index: int) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, OSError) as exc:
            raise RunFolderError(
                f"{self.storage.uri}: the results of {self.units[index]} are damaged, or were "
                "collected again meanwhile; run the same command again, or collect first"
            ) from exc
