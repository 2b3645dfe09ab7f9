"""Write Parquet files piece by piece, bounded by one row group."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.storage import Storage, scratch_folder

# Rows are gathered to this many per row group, so that small pieces do not make small groups.
_GROUP_ROWS = 20_000
# A row group of results is written earlier if its rows reach this size in memory.
_GROUP_BYTES = 32_000_000
# Result columns whose values are seldom equal: a dictionary would be built and thrown away.
_UNIQUE_RESULTS = ("record_id", "text", "reasoning", "tool_input", "model_output")


class ParquetFile:
    """A Parquet file that grows by record batches; zstd, because results are kept for long.

    unique: columns whose values are seldom equal, and get no dictionary
    group_bytes: the size in memory at which a row group is written before it has all its rows
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        unique: Collection[str] = (),
        group_bytes: float = math.inf,
    ) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema
        self._group_bytes = group_bytes
        with_dictionary = [name for name in schema.names if name not in unique]
        self._writer = pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=with_dictionary
        )
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._held_rows >= _GROUP_ROWS or self._held_bytes >= self._group_bytes:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        if self._held:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._held, schema=self._schema))
        self._held, self._held_rows, self._held_bytes = [], 0, 0


@contextmanager
def results_file(folder: Path, schema: pa.Schema, prefix: str = "") -> Iterator[ParquetFile]:
    """Open a local file for result rows, and close it at the end of the block.

    prefix: what the names of its result columns begin with
    """
    unique = {f"{prefix}{name}" for name in _UNIQUE_RESULTS}
    with closing(ParquetFile(folder / "results", schema, unique, _GROUP_BYTES)) as file:
        yield file


def write_results(
    storage: Storage,
    key: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    prefix: str = "",
) -> None:
    """Put a file of result rows into the run folder, whole.

    prefix: what the names of its result columns begin with
    """
    with scratch_folder("results") as folder, results_file(folder, schema, prefix) as file:
        for batch in batches:
            file.write(batch)
        file.close()
        storage.upload(file.path, key)
