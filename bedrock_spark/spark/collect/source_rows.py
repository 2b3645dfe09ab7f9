"""The source rows of a shard, which its results are joined to.

Answers come in any order, so any row may be needed next. A shard may have a gigabyte of rows:
beyond a few megabytes they are in a local file, from which rows are taken by their positions.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.spark.row_bytes import Sizes, row_bytes

# The bytes of rows that stay in memory.
IN_MEMORY = 16_000_000
# Rows are read in batches of about this many bytes, by the sizes in the file, and of at most this
# many rows: a dictionary may hide that rows are large.
_BATCH_BYTES, _BATCH_ROWS = 2_000_000, 1_000
# Column chunks are read in buffers of this size, not whole.
_BUFFER_BYTES = 1_000_000


def read_source_rows(
    path: Path, folder: Path, apart: Sequence[str]
) -> tuple[SourceRows, list[list[Any]]]:
    """Read a Parquet file of rows; return the rows, and the values of the columns `apart`.

    folder: takes a local file, if the rows need one
    apart: columns that are no part of the rows; [] is returned for one that the file does not have
    """
    values: list[list[Any]] = [[] for _ in apart]
    with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        schema = pa.schema([field for field in file.schema_arrow if field.name not in apart])

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in file.iter_batches(batch_size=_batch_rows(file), use_threads=False):
                for name, own in zip(apart, values, strict=True):
                    if name in batch.schema.names:
                        own += batch[name].to_pylist()
                columns = [batch[name] for name in schema.names]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return SourceRows(schema, batches(), folder, file.metadata.num_rows), values


def _batch_rows(file: pq.ParquetFile) -> int:
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    largest = max((one.total_byte_size // max(1, one.num_rows) for one in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))


class SourceRows:
    """The rows of a shard.

    schema: of the rows
    batches: the rows, in order
    folder: takes the file, if one is needed; its owner deletes it
    rows: their number, which batches without columns do not know
    sizes: the bytes of each row
    """

    def __init__(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], folder: Path, rows: int
    ) -> None:
        self.schema = schema
        self._map: mmap.mmap | None = None
        sizes: list[Sizes] = [np.zeros(0, np.int64)]
        rest = _measured(batches, sizes)
        held = list(_first(rest, sizes))
        following = next(rest, None)
        if following is None:
            self._batches = pa.Table.from_batches(held, schema).combine_chunks().to_batches()
        else:
            path = folder / "source-rows"
            _write(path, schema, chain(held, [following], rest))
            self._map = _mapped(path)
            self._batches = _batches_of(self._map)
            self._map.madvise(mmap.MADV_DONTNEED)
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self.sizes: Sizes = np.concatenate(sizes) if schema.names else np.zeros(rows, np.int64)

    def take(self, places: Sequence[int]) -> list[pa.Array]:
        """Return the columns of the rows at these positions, in this order."""
        if not self.schema.names:
            return []
        if len(self._batches) == 1:
            return list(self._batches[0].take(pa.array(places, pa.int64())).columns)
        rows = np.asarray(places, np.int64)
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        taken, order = [], []
        for number in np.unique(numbers):
            (own,) = np.nonzero(numbers == number)
            taken.append(self._batches[number].take(pa.array(rows[own] - self._starts[number])))
            order.append(own)
            if self._map is not None:
                # A row that is read brings up to 2 MB around it into the memory of this process.
                # They stay in the cache of the system.
                self._map.madvise(mmap.MADV_DONTNEED)
        back = pa.array(np.argsort(np.concatenate(order)))
        columns = pa.Table.from_batches(taken, self.schema).combine_chunks().take(back).columns
        return [_combined(column) for column in columns]


def _measured(batches: Iterable[pa.RecordBatch], sizes: list[Sizes]) -> Iterator[pa.RecordBatch]:
    """Yield the batches, and append the sizes of their rows to `sizes`."""
    for batch in batches:
        sizes.append(row_bytes(batch))
        yield batch


def _first(batches: Iterator[pa.RecordBatch], sizes: Sequence[Sizes]) -> Iterator[pa.RecordBatch]:
    """Yield batches until they have more bytes than may stay in memory."""
    total = 0
    while total <= IN_MEMORY and (batch := next(batches, None)) is not None:
        total += int(sizes[-1].sum())
        yield batch


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            # Freed memory of a few batches would else stay with this process.
            pa.default_memory_pool().release_unused()


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _batches_of(mapped: mmap.mmap) -> list[pa.RecordBatch]:
    """Return the batches of an Arrow file; their memory is the file's, and is not copied."""
    reader = pa.ipc.open_file(pa.py_buffer(mapped))
    return [reader.get_batch(number) for number in range(reader.num_record_batches)]


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
