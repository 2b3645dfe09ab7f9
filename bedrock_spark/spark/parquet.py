"""Write Parquet files piece by piece, bounded by one row group, straight into a storage."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.storage import ObjectWriter, Storage

# Rows are gathered to this many per row group, so that small pieces do not make small groups.
_GROUP_ROWS = 20_000
# A row group is written earlier if its rows reach this size in memory: who writes it holds it, and
# who reads a batch of it holds a page of each column, which is large if rows are.
GROUP_BYTES = 16_000_000
# Result columns whose values are seldom equal: a dictionary would be built and thrown away.
_UNIQUE_RESULTS = ("record_id", "text", "reasoning", "tool_input", "model_output")


class ParquetFile:
    """A Parquet file that grows by record batches; zstd, because results are kept for long.

    It appears with `commit`, whole.

    target: the object that it becomes
    unique: columns whose values are seldom equal, and get no dictionary
    """

    def __init__(
        self,
        target: ObjectWriter,
        schema: pa.Schema,
        unique: Collection[str] = (),
    ) -> None:
        self.rows = 0
        self._schema = schema
        with_dictionary = [name for name in schema.names if name not in unique]
        self._sink = _Sink(target)
        self._writer = pq.ParquetWriter(
            self._sink, schema, compression="zstd", use_dictionary=with_dictionary
        )
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._held_rows >= _GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> ObjectWriter:
        """Write all that is held and the footer; return the object, to be committed."""
        if self._held:
            self._flush()
        self._writer.close()
        return self._sink.target

    def commit(self) -> str:
        """Finish the file, and make it visible; return the version of the object."""
        return self.finish().commit()

    def abort(self) -> None:
        """Forget the file, unless it was committed."""
        self._sink.is_dropped = True
        self._writer.close()
        self._sink.target.abort()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._held, schema=self._schema))
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        # What the group took would else stay with this process beside the next one.
        pa.default_memory_pool().release_unused()


class _Sink:
    """An object as a file that pyarrow can write.

    is_dropped: whether bytes are forgotten. pyarrow writes a footer even if nobody wants the file
    """

    closed = False

    def __init__(self, target: ObjectWriter) -> None:
        self.target = target
        self.is_dropped = False

    def write(self, data: bytes) -> int:
        return len(data) if self.is_dropped else self.target.write(data)

    def flush(self) -> None:
        pass


@contextmanager
def results_file(
    storage: Storage, key: str, schema: pa.Schema, prefix: str = ""
) -> Iterator[ParquetFile]:
    """Begin a file of result rows. If the block does not commit it, there is none.

    prefix: what the names of its result columns begin with
    """
    file = new_results_file(storage, key, schema, prefix)
    try:
        yield file
    finally:
        file.abort()


def new_results_file(
    storage: Storage, key: str, schema: pa.Schema, prefix: str = ""
) -> ParquetFile:
    """Return a new file of result rows, which the caller commits or aborts; see `results_file`."""
    unique = {f"{prefix}{name}" for name in _UNIQUE_RESULTS}
    return ParquetFile(storage.writer(key), schema, unique)
