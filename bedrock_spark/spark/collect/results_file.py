"""Write the results of a shard piece by piece: the source rows, each with its results.

Rows are written as their records settle, so their order is that of the answers, and memory holds
one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from bedrock_spark.schema import MODEL_OUTPUT, RESULT_COLUMNS
from bedrock_spark.spark.collect.answer_counts import AnswerCounts
from bedrock_spark.spark.collect.dead_letters import DeadLetters
from bedrock_spark.spark.collect.provenance import Column, Repeated
from bedrock_spark.spark.collect.result_rows import Row
from bedrock_spark.spark.collect.row_places import Places, flatten
from bedrock_spark.spark.collect.source_rows import SourceRows
from bedrock_spark.spark.parquet import ParquetFile
from bedrock_spark.spark.result_schema import ResultColumns
from bedrock_spark.spark.row_bytes import Sizes

# The most rows of a piece, and the most bytes of their answers and source rows: an Arrow array of
# texts holds 2 GiB at most, which images as base64 reach within a few thousand rows
# (https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-layout).
PIECE_ROWS, PIECE_BYTES = 4_000, 4_000_000


class ResultsFile:
    """The results of one shard.

    columns: the result columns
    schema: of the results, as `schema_of` makes it
    rows: the source rows
    file: takes the results
    dead: takes those that are not ok, unless it is None
    counts: takes the rows as they are written, unless it is None
    versions: of the objects of results and dead letters, once they are committed; "" for none
    """

    def __init__(
        self,
        columns: ResultColumns,
        schema: pa.Schema,
        rows: SourceRows,
        file: ParquetFile,
        dead: DeadLetters | None = None,
        counts: AnswerCounts | None = None,
    ) -> None:
        self.versions = "", ""
        results = columns.arrow()
        self._rows = rows
        self._file = file
        self._dead = dead
        self._counts = counts
        self._schema = schema
        names = (*RESULT_COLUMNS, *(field.name for field in columns.parsed))
        places = {name: place for place, name in enumerate(names)}
        pairs = zip(columns.fields, results, strict=True)
        self._kinds = [(places[field.name], kind, field.name) for field, (_, kind) in pairs]
        self._held: list[Row] = []
        self._held_places: list[Sequence[int]] = []
        self._held_sizes: list[int] = []
        self._held_bytes = 0

    def add(self, row: Row, places: Sequence[int], answer_bytes: int = 0) -> None:
        """Append the result row of a record, once for each source row that shares it.

        places: the positions of these source rows
        """
        self._held.append(row)
        self._held_places.append(places)
        self._held_sizes.append(answer_bytes)
        self._held_bytes += answer_bytes
        if len(self._held) >= PIECE_ROWS or self._held_bytes >= PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held."""
        if self._held:
            columns = list(zip(*self._held, strict=True))
            self.add_columns(columns, flatten(self._held_places), self._held_sizes)
        self._held, self._held_places, self._held_sizes, self._held_bytes = [], [], [], 0

    def add_columns(
        self, columns: Sequence[Column], places: Places, answer_bytes: Sequence[int]
    ) -> None:
        """Append the result columns of records, each record once for each source row.

        columns: in the order of the columns of results; each has an item per record
        places: the source rows of the records
        answer_bytes: the size of the answer of each record
        """
        results = [_array(columns[place], kind, name) for place, kind, name in self._kinds]
        answers = np.asarray(answer_bytes, np.int64)
        if places.records is not None:
            answers = answers[places.records]
        for start, end in _pieces(answers + self._rows.sizes[places.rows]):
            if places.records is None:
                piece = [array.slice(start, end - start) for array in results]
            else:
                records = pa.array(places.records[start:end])
                piece = [array.take(records) for array in results]
            rows = self._rows.take(places.rows[start:end])
            batch = pa.RecordBatch.from_arrays([*rows, *piece], schema=self._schema)
            if self._dead is not None:
                self._dead.copy_from(batch)
            if self._counts is not None:
                self._counts.add(batch)
            self._file.write(batch)


def schema_of(rows: pa.Schema, columns: ResultColumns) -> pa.Schema:
    """Return the schema of results."""
    return pa.schema([*rows, *columns.arrow()])


def _pieces(sizes: Sizes) -> Iterator[tuple[int, int]]:
    """Yield where the pieces of rows of these sizes start and end."""
    ends = np.cumsum(sizes)
    start, before = 0, 0
    while start < len(ends):
        reached = int(np.searchsorted(ends, before + PIECE_BYTES)) + 1
        end = min(reached, start + PIECE_ROWS, len(ends))
        yield start, end
        start, before = end, int(ends[end - 1])


def _array(values: Column, kind: pa.DataType, name: str) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, Repeated):
        value, rows = values
        return pa.nulls(rows, kind) if value is None else pa.repeat(pa.scalar(value, kind), rows)
    first = values[0]
    if first is None and values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    if name == MODEL_OUTPUT:
        # Bytes that are known to be UTF-8: Arrow would check them again.
        return pa.array(values, pa.binary()).view(pa.string())
    return pa.array(values, kind)
