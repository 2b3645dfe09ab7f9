"""Write the results of a shard piece by piece: the source rows, each with its result row.

Rows are written as their records settle, so their order is that of the answers, and memory holds
one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from bedrock_spark.schema import MODEL_OUTPUT, RESULT_COLUMNS
from bedrock_spark.spark.collect.dead_letters import DeadLetters
from bedrock_spark.spark.collect.result_rows import Row
from bedrock_spark.spark.parquet import ParquetFile
from bedrock_spark.spark.result_schema import ResultColumns

# The most rows of a piece, and the most bytes of their answers and source rows: an Arrow array of
# texts holds 2 GiB at most, which images as base64 reach within a few thousand rows
# (https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-layout).
PIECE_ROWS, PIECE_BYTES = 4_000, 32_000_000


class ResultsFile:
    """The results of one shard.

    columns: the result columns
    schema: of the results, as `schema_of` makes it
    rows: the source rows
    row_sizes: the bytes of each source row
    file: takes the results
    dead: takes those that are not ok
    """

    def __init__(
        self,
        columns: ResultColumns,
        schema: pa.Schema,
        rows: pa.Table,
        row_sizes: Sequence[int],
        file: ParquetFile,
        dead: DeadLetters,
    ) -> None:
        results = columns.arrow()
        self._rows = rows
        self._row_sizes = row_sizes
        self._file = file
        self._dead = dead
        self._schema = schema
        names = (*RESULT_COLUMNS, *(field.name for field in columns.parsed))
        places = {name: place for place, name in enumerate(names)}
        pairs = zip(columns.fields, results, strict=True)
        self._kinds = [(places[field.name], kind, field.name) for field, (_, kind) in pairs]
        self._held: list[Row] = []
        self._places: list[int] = []
        self._bytes = 0

    def add(self, row: Row, places: Sequence[int], answer_bytes: int = 0) -> None:
        """Append the result row of a record, once for each source row that shares it.

        places: the positions of these source rows
        """
        held = self._held
        for place in places:
            held.append(row)
            self._places.append(place)
            self._bytes += answer_bytes + self._row_sizes[place]
            if len(held) >= PIECE_ROWS or self._bytes >= PIECE_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write the rows that are held."""
        if not self._held:
            return
        columns = list(zip(*self._held, strict=True))
        results = [_array(columns[place], kind, name) for place, kind, name in self._kinds]
        kept = self._rows.take(pa.array(self._places, pa.int64()))
        sources = [_combined(column) for column in kept.columns]
        batch = pa.RecordBatch.from_arrays([*sources, *results], schema=self._schema)
        self._held.clear()
        self._places.clear()
        self._bytes = 0
        self._dead.copy_from(batch)
        self._file.write(batch)


def schema_of(rows: pa.Table, columns: ResultColumns) -> pa.Schema:
    """Return the schema of results."""
    return pa.schema([*rows.schema, *columns.arrow()])


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _array(values: Sequence[Any], kind: pa.DataType, name: str) -> pa.Array:
    first = values[0]
    if first is None and values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    if name == MODEL_OUTPUT:
        # Bytes that are known to be UTF-8: Arrow would check them again.
        return pa.array(values, pa.binary()).view(pa.string())
    return pa.array(values, kind)
