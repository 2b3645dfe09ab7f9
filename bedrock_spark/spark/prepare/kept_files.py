"""Write rows whose answers were kept: their source rows, and the answers as output lines.

A unit looks like a shard that was answered, so collect joins it by the same code. It has no JSONL
and no job. Units are cut at the bounds of a shard, anywhere between two rows: each has the answers
of all its rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.table import (
    ANSWERED_AT,
    MODEL_ID,
    MODEL_OUTPUT,
    REQUEST_DIGEST,
    RUN_ID,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import KeptRows
from bedrock_spark.shards.plan import Bounds
from bedrock_spark.spark.parquet import ParquetFile
from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of
from bedrock_spark.spark.prepare.escape import LINES, escaped
from bedrock_spark.spark.row_bytes import Sizes
from bedrock_spark.storage import ObjectWriter, Storage, commit_all

_MICROSECONDS = 1_000_000


def kept_lines(ids: pa.Array, answers: pa.Table) -> pa.Array:
    """Return output lines of kept answers; the members after the answer say where it is from.

    ids: the record id of each; answers: as in `FoundAnswers`
    """
    seconds = pc.divide(answers.column(ANSWERED_AT).cast(pa.int64()).cast(pa.float64()), 1e6)
    # Of a file that another tool wrote: one part without a value would leave no line at all.
    ended_at = pc.fill_null(seconds.cast(pa.string()), "null")
    parts = (
        *(b'{"recordId":"', ids),
        *(b'","modelOutput":', answers.column(MODEL_OUTPUT)),
        *(b',"modelId":', _json_texts(answers.column(MODEL_ID))),
        *(b',"endedAt":', ended_at),
        *(b',"runId":', _json_texts(answers.column(RUN_ID))),
        *(b',"requestDigest":"', answers.column(REQUEST_DIGEST), b'"}\n'),
    )
    pieces = [
        pa.scalar(part, LINES) if isinstance(part, bytes) else _as_lines(part) for part in parts
    ]
    return pc.binary_join_element_wise(*pieces, pa.scalar(b"", LINES))


def _json_texts(column: pa.ChunkedArray) -> pa.Array:
    """Return texts as JSON texts, or null."""
    own = _combined(column)
    quoted = pc.binary_join_element_wise(
        *(pa.scalar(b'"', LINES), escaped(own), pa.scalar(b'"', LINES), pa.scalar(b"", LINES))
    )
    return pc.fill_null(quoted, pa.scalar(b"null", LINES))


def _as_lines(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    own = _combined(column) if isinstance(column, pa.ChunkedArray) else column
    return own if own.type == LINES else own.cast(LINES)


def _combined(column: pa.ChunkedArray) -> pa.Array:
    own = column.combine_chunks()
    return own.chunk(0) if isinstance(own, pa.ChunkedArray) else own


@dataclass(frozen=True)
class KeptChunk:
    """Some rows in the order of their records, and the answers of these records.

    rows: the first column is the record id
    sizes: the bytes of each row
    bodies: the number of the line of each row, ascending
    lines: an output line for each record
    """

    rows: pa.RecordBatch
    sizes: Sizes
    bodies: npt.NDArray[np.int64]
    lines: pa.Array


class KeptSink(Protocol):
    """Takes rows whose answers were kept. units: those that are whole"""

    units: list[KeptRows]

    def write(self, chunk: KeptChunk) -> None:
        """Append rows. Rows of one record may continue those of the chunk before."""
        ...

    def finish(self) -> None:
        """End the last unit."""
        ...

    def abort(self) -> None:
        """Forget what is not finished."""
        ...


class KeptUnits:
    """The units of one part of the lookup, in the order in which they are cut. One is open."""

    def __init__(self, part: int, bounds: Bounds) -> None:
        self.units: list[KeptRows] = []
        self._part = part
        self._bounds = bounds
        self._rows = self._row_bytes = self._records = self._bytes = 0
        self._last_id: str | None = None

    def write(self, chunk: KeptChunk) -> None:
        """Append rows; end the open unit wherever it is full."""
        line_sizes = np.diff(offsets_of(chunk.lines)).astype(np.int64)
        start = 0
        while start < len(chunk.sizes):
            first = int(chunk.bodies[start])
            continues = chunk.rows.column(0)[start].as_py() == self._last_id
            # The line of a record that the unit has already is not written once more.
            begin = first + 1 if continues else first
            stop = self._stop(chunk, start, begin, line_sizes)
            if stop == start:
                self._end()
                continue
            end = int(chunk.bodies[stop - 1]) + 1
            self._append(chunk.rows.slice(start, stop - start), chunk.lines[begin:end])
            self._rows += stop - start
            self._row_bytes += int(chunk.sizes[start:stop].sum())
            self._records += max(0, end - begin)
            self._bytes += int(line_sizes[begin:end].sum())
            self._last_id = chunk.rows.column(0)[stop - 1].as_py()
            start = stop

    def _stop(self, chunk: KeptChunk, start: int, begin: int, line_sizes: Sizes) -> int:
        """Return where the open unit is full; at least one row more if it is empty."""
        row_bytes = np.cumsum(chunk.sizes[start:]) + self._row_bytes
        before = np.concatenate(([0], np.cumsum(line_sizes[begin:])))
        lines = np.maximum(chunk.bodies[start:] + 1 - begin, 0)
        is_full = (
            (row_bytes > self._bounds.max_row_bytes)
            | (lines + self._records > self._bounds.max_records)
            | (before[lines] + self._bytes > self._bounds.max_bytes)
        )
        full = np.flatnonzero(is_full)
        stop = start + int(full[0]) if len(full) else len(chunk.sizes)
        return stop if stop > start or self._rows else start + 1

    def _append(self, rows: pa.RecordBatch, lines: pa.Array) -> None:
        """Write rows and lines to the open unit, if they are written."""

    def _publish(self, unit: str) -> None:
        """Make the files of the open unit visible, if there are any."""

    @property
    def open_unit(self) -> str:
        """Return the name of the open unit."""
        return layout.kept_unit(self._part, len(self.units))

    def _end(self) -> None:
        unit = self.open_unit
        self._publish(unit)
        self.units.append(KeptRows(unit, self._rows, self._records, self._bytes))
        self._rows = self._row_bytes = self._records = self._bytes = 0
        self._last_id = None

    def finish(self) -> None:
        """End the last unit."""
        if self._rows:
            self._end()

    def abort(self) -> None:
        """Forget the open unit."""


class KeptFiles(KeptUnits):
    """Units that are written into a run folder.

    schema: of the rows; unique: the columns whose values seldom repeat
    """

    def __init__(
        self,
        storage: Storage,
        prepare_id: str,
        part: int,
        bounds: Bounds,
        schema: pa.Schema,
        unique: Collection[str],
    ) -> None:
        super().__init__(part, bounds)
        self._storage = storage
        self._prepare_id = prepare_id
        self._schema = schema
        self._unique = unique
        self._file: ParquetFile | None = None
        self._lines: ObjectWriter | None = None

    def _append(self, rows: pa.RecordBatch, lines: pa.Array) -> None:
        if self._file is None or self._lines is None:
            unit, storage = self.open_unit, self._storage
            target = storage.writer(layout.rows_key(unit, self._prepare_id))
            self._file = ParquetFile(target, self._schema, self._unique)
            self._lines = storage.writer(layout.kept_key(unit, self._prepare_id))
        self._lines.write(flat_bytes(lines))
        self._file.write(rows)

    def _publish(self, unit: str) -> None:
        if self._file is not None and self._lines is not None:
            commit_all([self._file.finish(), self._lines])
        self._file = self._lines = None

    def abort(self) -> None:
        """Forget the files of the open unit."""
        if self._file is not None:
            self._file.abort()
        if self._lines is not None:
            self._lines.abort()
