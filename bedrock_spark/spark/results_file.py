"""Write the results of one shard, piece by piece: in memory is no more than one row group."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark import layout
from bedrock_spark.storage import Storage

# A row group is written when this much has gathered.
_GROUP_BYTES, _GROUP_ROWS = 32_000_000, 20_000


def write_results(
    storage: Storage, unit: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    """Put a results file into the run folder, whole."""
    with tempfile.TemporaryDirectory(prefix="results-") as folder:
        path = Path(folder, f"{unit}.parquet")
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            held: list[pa.RecordBatch] = []
            for batch in batches:
                held.append(batch)
                if _is_full(held):
                    writer.write_table(pa.Table.from_batches(held, schema))
                    held = []
            writer.write_table(pa.Table.from_batches(held, schema))
        storage.upload(path, layout.results_key(unit))


def _is_full(held: list[pa.RecordBatch]) -> bool:
    rows: int = sum(batch.num_rows for batch in held)
    size: int = sum(batch.nbytes for batch in held)
    return rows >= _GROUP_ROWS or size >= _GROUP_BYTES
