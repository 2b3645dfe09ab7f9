"""Write a Parquet file of rows, piece by piece: in memory is no more than one row group."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.storage import Storage

# A row group is written when this much has gathered.
_GROUP_BYTES, _GROUP_ROWS = 32_000_000, 20_000
# A dictionary of their values would be made and thrown away.
_SELDOM_EQUAL = frozenset({"record_id", "text", "reasoning", "tool_input", "model_output"})


def write_rows(
    storage: Storage, key: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    """Put a file into the run folder, whole."""
    with tempfile.TemporaryDirectory(prefix="results-") as folder:
        path = Path(folder, key.rsplit("/", 1)[-1])
        coded = [name for name in schema.names if name not in _SELDOM_EQUAL]
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=coded) as writer:
            held: list[pa.RecordBatch] = []
            for batch in batches:
                held.append(batch)
                if _is_full(held):
                    writer.write_table(pa.Table.from_batches(held, schema))
                    held = []
            writer.write_table(pa.Table.from_batches(held, schema))
        storage.upload(path, key)


def _is_full(held: list[pa.RecordBatch]) -> bool:
    rows: int = sum(batch.num_rows for batch in held)
    size: int = sum(batch.nbytes for batch in held)
    return rows >= _GROUP_ROWS or size >= _GROUP_BYTES
