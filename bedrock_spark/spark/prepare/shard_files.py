"""Write the two files of a shard: the JSONL that Bedrock reads, the Parquet of the rows behind it.

Both are written to local disk first and put under their final names whole, rows before lines. A
task that dies leaves nothing half-written; one that runs twice leaves the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.spark.parquet import ParquetFile
from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of
from bedrock_spark.storage import Storage
from bedrock_spark.templates.body_template import RowRejected

REJECT_FIELDS = (
    pa.field("reject_column", pa.string()),
    pa.field("reject_reason", pa.string()),
)


class RejectsFile:
    """The rejected rows of one bucket, each with column and reason. No rows, no file."""

    def __init__(self, path: Path, kept: pa.Schema) -> None:
        self.rows = 0
        self._path = path
        self._schema = pa.schema([*kept, *REJECT_FIELDS])
        self._file: ParquetFile | None = None

    def write(self, rows: pa.RecordBatch, reasons: Sequence[RowRejected]) -> None:
        """Append rows and why they were rejected."""
        if self._file is None:
            self._file = ParquetFile(self._path, self._schema)
        told = [r.column for r in reasons], [r.reason for r in reasons]
        arrays = [*rows.columns, *(pa.array(texts, pa.string()) for texts in told)]
        self._file.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.rows += len(reasons)

    def publish(self, storage: Storage, key: str) -> None:
        """Put the file under its final name."""
        if self._file is not None:
            self._file.close()
            storage.upload(self._path, key)


class ShardFiles:
    """The files of one shard while they are being written."""

    def __init__(
        self, folder: Path, shard_id: str, schema: pa.Schema, unique: Collection[str]
    ) -> None:
        self.shard_id = shard_id
        self._lines_path = folder / f"{shard_id}.jsonl"
        self._lines = self._lines_path.open("wb")
        self._rows = ParquetFile(folder / f"{shard_id}.parquet", schema, unique)
        self._sha256 = hashlib.sha256()
        self._bytes = self._records = 0

    def write(self, lines: pa.Array, rows: pa.RecordBatch) -> None:
        """Append records: their lines, newline included, and their rows, in the same order.

        An empty line is a row that shares the record before it.
        """
        data = flat_bytes(lines)
        self._lines.write(data)
        self._records += int(np.count_nonzero(np.diff(offsets_of(lines))))
        self._sha256.update(data)
        self._bytes += len(data)
        self._rows.write(rows)

    def publish(self, storage: Storage) -> Shard:
        """Put both files under their final names and delete the local ones."""
        self._lines.close()
        self._rows.close()
        storage.upload(self._rows.path, layout.rows_key(self.shard_id))
        storage.upload(self._lines_path, layout.shard_key(self.shard_id))
        self._rows.path.unlink()
        self._lines_path.unlink()
        digest = self._sha256.hexdigest()
        sharing = self._rows.rows - self._records
        return Shard(self.shard_id, self._records, self._bytes, digest, sharing)


class BucketFiles:
    """The shards of one bucket, one open at a time, in the order in which they are cut."""

    def __init__(
        self,
        storage: Storage,
        folder: Path,
        bucket: int,
        schema: pa.Schema,
        unique: Collection[str],
    ) -> None:
        self.shards: list[Shard] = []
        self._storage = storage
        self._folder = folder
        self._bucket = bucket
        self._schema = schema
        self._unique = unique
        self._open: ShardFiles | None = None
        self._cut = -1

    def write(self, cut: int, lines: pa.Array, rows: pa.RecordBatch) -> None:
        """Append records to the cut-th shard; a new cut publishes the one before."""
        if cut != self._cut or self._open is None:
            self._publish()
            self._cut = cut
            name = layout.shard_id(self._bucket, cut)
            self._open = ShardFiles(self._folder, name, self._schema, self._unique)
        self._open.write(lines, rows)

    def finish(self) -> None:
        """Publish the last shard."""
        self._publish()

    def _publish(self) -> None:
        if self._open is not None:
            self.shards.append(self._open.publish(self._storage))
            self._open = None
