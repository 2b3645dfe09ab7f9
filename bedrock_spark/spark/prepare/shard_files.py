"""Write the files of a shard: the JSONL that Bedrock reads, its index, and the Parquet of its rows.

They are written into the storage while they are made, and appear whole when the shard is cut. So a
task that dies leaves no half-written file, and writing is idempotent: a task that runs twice leaves
the same bytes. There are no local files, but in a local run folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.schema import REJECT_COLUMN, REJECT_REASON
from bedrock_spark.shards.byte_index import MIN_SHARD_BYTES
from bedrock_spark.shards.index_builder import IndexBuilder
from bedrock_spark.shards.record_ids import LENGTH
from bedrock_spark.spark.parquet import ParquetFile
from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of
from bedrock_spark.storage import ObjectWriter, Storage, commit_all
from bedrock_spark.templates.body_template import RowRejected

# Lines are made faster than S3 takes them in two parts at a time.
_PARTS_BEHIND = 4
REJECT_FIELDS = (
    pa.field(REJECT_COLUMN, pa.string()),
    pa.field(REJECT_REASON, pa.string()),
)


class ShardSink(Protocol):
    """Takes the records of a bucket in the order in which they are cut into files.

    Each shard has `shards.max_files` of them, but for the last one, which may have fewer.
    shards: those that are whole
    """

    shards: list[Shard]

    def write(self, cut: int, lines: pa.Array, rows: pa.RecordBatch) -> None:
        """Append records to the bucket's file `cut`. A new number ends the file before."""
        ...

    def finish(self) -> None:
        """End the last shard."""
        ...

    def abort(self) -> None:
        """Forget what is not finished."""
        ...


class RejectSink(Protocol):
    """Takes the rejected rows of a bucket. rows: their number."""

    rows: int

    def write(self, rows: pa.RecordBatch, reasons: Sequence[RowRejected]) -> None:
        """Append rows, each with the column and the reason of its rejection."""
        ...

    def publish(self) -> None:
        """End the rejects of the bucket."""
        ...

    def abort(self) -> None:
        """Forget them, unless they are published."""
        ...


class RejectsFile:
    """The rejected rows of one bucket, each with column and reason. Without rows there is no file.

    rows: the number of rows written
    """

    def __init__(self, storage: Storage, key: str, kept: pa.Schema) -> None:
        self.rows = 0
        self._storage = storage
        self._key = key
        self._schema = pa.schema([*kept, *REJECT_FIELDS])
        self._file: ParquetFile | None = None

    def write(self, rows: pa.RecordBatch, reasons: Sequence[RowRejected]) -> None:
        """Append rows, each with the column and the reason of its rejection."""
        if self._file is None:
            self._file = ParquetFile(self._storage.writer(self._key), self._schema)
        columns = pa.array([r.column for r in reasons], pa.string())
        texts = pa.array([r.reason for r in reasons], pa.string())
        arrays = [*rows.columns, columns, texts]
        self._file.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.rows += len(reasons)

    def publish(self) -> None:
        """Make the file visible, if it has rows."""
        if self._file is not None:
            self._file.commit()

    def abort(self) -> None:
        """Forget the file, unless it was published."""
        if self._file is not None:
            self._file.abort()


class ShardFiles:
    """The files of one shard while they are written.

    unique: the columns whose values seldom repeat
    max_files: how many files its lines may have; 1: they are one object, and no folder
    """

    def __init__(
        self,
        storage: Storage,
        prepare_id: str,
        shard_id: str,
        schema: pa.Schema,
        unique: Collection[str],
        max_files: int = 1,
    ) -> None:
        self.shard_id = shard_id
        self._storage = storage
        self._prepare_id = prepare_id
        self._is_folder = max_files > 1
        # The bytes of each file of lines; the last one is open.
        self._sizes = [0]
        self._lines = storage.writer(self._lines_key(), _PARTS_BEHIND)
        rows = storage.writer(layout.rows_key(shard_id, prepare_id))
        self._rows = ParquetFile(rows, schema, unique)
        self._index = IndexBuilder()
        self._index_file: ObjectWriter | None = None
        self._sha256 = hashlib.sha256()
        self._bytes = self._records = 0

    def begin_file(self) -> None:
        """End the file of lines that is open, and begin the next one.

        The one before appears at once, because an open one holds memory. It is not used before the
        manifest names its shard.
        """
        self._lines.commit()
        self._sizes.append(0)
        self._lines = self._storage.writer(self._lines_key(), _PARTS_BEHIND)

    def _lines_key(self) -> str:
        if not self._is_folder:
            return layout.shard_key(self.shard_id, self._prepare_id)
        folder = layout.shard_folder(self.shard_id, self._prepare_id)
        return layout.file_key(folder, len(self._sizes) - 1)

    def write(self, lines: pa.Array, rows: pa.RecordBatch) -> None:
        """Append records: their lines, with their line breaks, and their rows, in the same order.

        The first column of the rows is the record id.
        The line of a row that shares the record before it is empty.
        """
        data, sizes = flat_bytes(lines), np.diff(offsets_of(lines))
        self._lines.write(data)
        self._records += int(np.count_nonzero(sizes))
        ids = np.frombuffer(flat_bytes(rows.column(0)), f"S{LENGTH}")
        self._index.add(ids, sizes)
        self._sha256.update(data)
        self._bytes += len(data)
        self._sizes[-1] += len(data)
        self._rows.write(rows)

    def publish(self) -> Shard:
        """Make the files visible."""
        rows = self._rows.finish()
        files = [rows, self._lines]
        if self._bytes >= MIN_SHARD_BYTES:
            key = layout.index_key(self.shard_id, self._prepare_id)
            self._index_file = self._storage.writer(key)
            self._index_file.write(self._index.finish().to_bytes())
            files.append(self._index_file)
        commit_all(files)
        digest = self._sha256.hexdigest()
        sharing = self._rows.rows - self._records
        sizes = tuple(self._sizes) if self._is_folder else ()
        counts = self._records, self._bytes, digest, sharing
        return Shard(self.shard_id, *counts, self._prepare_id, sizes, rows.size)

    def abort(self) -> None:
        """Forget the files, unless they were published."""
        self._rows.abort()
        self._lines.abort()
        if self._index_file is not None:
            self._index_file.abort()


class BucketFiles:
    """The shards of one bucket, in the order in which they are cut. One is open at a time."""

    def __init__(
        self,
        storage: Storage,
        prepare_id: str,
        bucket: int,
        schema: pa.Schema,
        unique: Collection[str],
        max_files: int = 1,
    ) -> None:
        self.shards: list[Shard] = []
        self._max_files = max_files
        self._storage = storage
        self._prepare_id = prepare_id
        self._bucket = bucket
        self._schema = schema
        self._unique = unique
        self._open_shard: ShardFiles | None = None
        self._open_cut = -1

    def write(self, cut: int, lines: pa.Array, rows: pa.RecordBatch) -> None:
        """Append records to the bucket's file `cut`. A new number ends the file before."""
        if cut != self._open_cut or self._open_shard is None:
            if self._open_shard is not None and cut % self._max_files:
                self._open_shard.begin_file()
            else:
                self._publish()
                self._open_shard = self._new_shard(cut // self._max_files)
            self._open_cut = cut
        self._open_shard.write(lines, rows)

    def _new_shard(self, number: int) -> ShardFiles:
        shard_id = layout.shard_id(self._bucket, number)
        values = self._storage, self._prepare_id, shard_id, self._schema, self._unique
        return ShardFiles(*values, self._max_files)

    def finish(self) -> None:
        """Publish the last shard."""
        self._publish()

    def _publish(self) -> None:
        if self._open_shard is not None:
            self.shards.append(self._open_shard.publish())
            self._open_shard = None

    def abort(self) -> None:
        """Forget the files of the open shard."""
        if self._open_shard is not None:
            self._open_shard.abort()
