"""Write Arrow batches in a form for other programs: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from bedrock_spark.browse.plain_json import as_json, text_of

# Writes all batches of a reader; returns the number of rows.
Write = Callable[[pa.RecordBatchReader, IO[bytes]], int]


def write_csv(reader: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """Write a header and rows. CSV has no lists or structs: their values are JSON."""
    schema = pa.schema([pa.field(f.name, _flat(f.type)) for f in reader.schema])
    rows = 0
    with csv.CSVWriter(file, schema) as writer:
        for batch in reader:
            writer.write_batch(_flattened(batch, schema))
            rows += batch.num_rows
    return rows


def csv_pieces(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield what `write_csv` writes, piece by piece: the header, then each batch.

    schema: of the batches
    """
    flat = pa.schema([pa.field(f.name, _flat(f.type)) for f in schema])
    for number, batch in enumerate(chain([flat.empty_table()], batches)):
        sink = io.BytesIO()
        rows = batch if not number else _flattened(batch, flat)
        csv.write_csv(rows, sink, csv.WriteOptions(include_header=not number))
        yield sink.getvalue()


def write_jsonl(reader: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """Write one JSON object a row. Dates and decimals are text, binary values base64."""
    rows = 0
    for batch in reader:
        for row in batch.to_pylist():
            file.write(as_json(row).encode() + b"\n")
        rows += batch.num_rows
    return rows


def write_parquet(reader: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """Write one Parquet file."""
    rows = 0
    with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


WRITERS: dict[str, Write] = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


def limited(reader: pa.RecordBatchReader, rows: int | None) -> pa.RecordBatchReader:
    """Return a reader of the first `rows` rows; of all if that is None."""
    if rows is None:
        return reader

    def first(batches: Iterable[pa.RecordBatch], left: int) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            if left <= 0:
                return
            yield batch.slice(0, left)
            left -= batch.num_rows

    return pa.RecordBatchReader.from_batches(reader.schema, first(reader, rows))


def _flat(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_nested(kind) or _is_binary(kind) else kind


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _flattened(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    pairs = zip(batch.columns, schema, strict=True)
    columns = [c if c.type == field.type else _as_text(c) for c, field in pairs]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _as_text(column: pa.Array) -> pa.Array:
    return pa.array(map(_cell, column.to_pylist()), pa.string())


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    return text_of(value) if isinstance(value, bytes) else as_json(value)
