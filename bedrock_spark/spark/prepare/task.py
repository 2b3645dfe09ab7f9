"""Cut one bucket into shards: the Spark task of prepare.

A task's memory holds one batch of rows, and the lines that the cutter holds back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.errors import PlanError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder import layout
from bedrock_spark.schema import ROW_BODY_SHA256, ROW_RECORD_ID
from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.shards.cutter import Cutter, Piece
from bedrock_spark.shards.hash_ranges import part_of
from bedrock_spark.shards.plan import Bounds, max_shared_bytes
from bedrock_spark.spark.prepare.arrow_columns import offsets_of
from bedrock_spark.spark.prepare.assign_ids import Identifier, OnRepeat
from bedrock_spark.spark.prepare.body_hashes import reject_changed
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED
from bedrock_spark.spark.prepare.damage import damaged_rows
from bedrock_spark.spark.prepare.digests import SHA256, digest_column
from bedrock_spark.spark.prepare.escape import LINES
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.nullable import with_nullable_fields
from bedrock_spark.spark.prepare.prefetch import Prefetch
from bedrock_spark.spark.prepare.render import render_lines, slices_in_cache
from bedrock_spark.spark.prepare.shard_files import (
    BucketFiles,
    RejectsFile,
    RejectSink,
    ShardSink,
)
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.row_bytes import ID_BYTES, Sizes, row_bytes
from bedrock_spark.spark.worker_process import set_up_worker
from bedrock_spark.storage import Storage
from bedrock_spark.templates.body_template import RowRejected

_MAX_REASONS = 10
# Arrow gives freed memory back after batches of this many bytes. The next batch gets fresh memory,
# whose first use costs as much as the sha256 of the same bytes, so not after each small batch.
_RELEASED_BYTES = 16_000_000
_REPEATS = "repeats the key of another row"

# One summary per bucket: see `Bucket.finish`.
Summaries = list[dict[str, Any]]


def _sum_of_squares(sizes: npt.NDArray[np.int64]) -> int:
    """Return the exact sum. If it does not fit into 64 bits, Python's integers add it up."""
    if int(sizes.sum()) < 1 << 31:
        return int(np.dot(sizes, sizes))
    return sum(size * size for size in sizes.tolist())


def bounds_of(config: Config) -> Bounds:
    """Return the bounds of a shard that the config sets."""
    shards = config.shards
    files = shards.max_files
    sizes = shards.max_bytes * files, shards.min_records, shards.max_row_bytes * files
    return Bounds(shards.max_records, *sizes, files)


class _HashRepeatsError(Exception):
    """Two rows have one hash, and the rows come without what puts them in order."""


@dataclass(frozen=True)
class PrepareTask:
    """The work on one bucket; sent to executors, so it holds only what can be pickled.

    prepare_id: names the folders to write into
    is_by_range: whether a bucket is a range of hashes; see shuffle.py
    """

    config: Config
    columns: SourceColumns
    storage: Storage
    aws: AwsSettings
    buckets: int
    prepare_id: str
    is_by_range: bool = False

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write a bucket's shards and rejects; yield one row with the bucket's summary as JSON.

        If the rows have no KEY and two have one hash, the order of the two is unknown. Then what
        was written is not to be used, and the summary says so by `hash_repeats`. Shards that are
        full by then have only rows before these two, and are written the same again.
        """
        set_up_worker()
        summary = self._summary(batches)
        if summary is not None:
            yield pa.RecordBatch.from_pydict({"summary": [json.dumps(summary)]})

    def _summary(self, batches: Iterator[pa.RecordBatch]) -> dict[str, Any] | None:
        first = next((b for b in batches if b.num_rows), None)
        if first is None:
            return None
        with (
            open_objects(self.aws) as objects,
            closing(Bucket(self, first, objects)) as bucket,
        ):
            try:
                bucket.add(first)
                del first
                used = 0
                for batch in batches:
                    bucket.add(batch)
                    # Otherwise Arrow keeps freed memory, and a worker that cuts many buckets grows.
                    used += batch.nbytes
                    if used >= _RELEASED_BYTES:
                        pa.default_memory_pool().release_unused()
                        used = 0
            except _HashRepeatsError:
                for _ in batches:  # Spark wants its rows to be taken
                    pass
                return {"bucket": bucket.number, "hash_repeats": True}
            return self.finish(bucket)

    def buckets_of(self, hashes: pa.Array) -> npt.NDArray[np.int64]:
        """Return the bucket of each hash."""
        bucket_of = part_of if self.is_by_range else buckets_of
        return bucket_of(hashes.to_numpy(), self.buckets)

    def open_files(self, bucket: int, schema: pa.Schema, unique: Collection[str]) -> ShardSink:
        """Return what takes the records of a bucket as they are cut."""
        files = self.config.shards.max_files
        return BucketFiles(self.storage, self.prepare_id, bucket, schema, unique, files)

    def open_rejects(self, bucket: int, kept: pa.Schema) -> RejectSink:
        """Return what takes the rejected rows of a bucket."""
        return RejectsFile(self.storage, layout.rejects_key(bucket, self.prepare_id), kept)

    def finish(self, bucket: Bucket) -> dict[str, Any]:
        """Write what is left of a bucket; return its summary."""
        return bucket.finish()


@dataclass(frozen=True)
class _Chunk:
    """Lines and their source rows, in the same order.

    The line of a row that shares the record before it is empty.
    """

    lines: pa.Array
    rows: pa.RecordBatch


class Bucket:
    """Renders the Arrow batches of one bucket, cuts them, and writes the files.

    number: the bucket's number in the names of its shards
    """

    def __init__(self, task: PrepareTask, first: pa.RecordBatch, objects: Prefetch) -> None:
        self._task = task
        self._objects = objects
        self._index = int(task.buckets_of(first.column(HASH)[:1])[0])
        self.number = layout.bucket_number(self._index, task.buckets)
        self._template = body_template(task.config, objects.fetch)
        is_keyed = bool(task.columns.key) or task.config.shares_records
        on_repeat = OnRepeat.SAME if is_keyed else OnRepeat.OWN
        is_shared = task.config.shares_records
        bounds = bounds_of(task.config).of_file
        most = max_shared_bytes(bounds) if is_shared else None
        self._ids = Identifier(self._index, task.buckets, on_repeat, most)
        self._cutter: Cutter[_Chunk] = Cutter(bounds)
        kept = with_nullable_fields(first.slice(0, 0).select(list(task.columns.kept))).schema
        self._has_digests = task.config.hashes_bodies
        digest = [pa.field(ROW_BODY_SHA256, SHA256)] if self._has_digests else []
        self._schema = pa.schema([pa.field(ROW_RECORD_ID, pa.string()), *digest, *kept])
        unique = {ROW_RECORD_ID, ROW_BODY_SHA256, *task.columns.key}
        self.files = task.open_files(self.number, self._schema, unique)
        self._own_bytes = ID_BYTES + (SHA256.byte_width if self._has_digests else 0)
        self._rejects = task.open_rejects(self.number, kept)
        self._last_id: str | None = None
        self._rows = self._squares = self._duplicates = self._repeated = 0
        self._row_bytes = self._row_squares = 0
        self._reasons: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        """Render a batch; write the pieces that the cutter does not hold back."""
        self._check_bucket(batch)
        for cached in slices_in_cache(batch):
            for with_objects in with_media(cached, self._template, self._objects):
                self._add_slice(with_objects)

    def _add_slice(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        batch = self._without_repeated_keys(self._without_damaged(batch))
        row_sizes = row_bytes(batch.select(list(self._task.columns.kept))) + self._own_bytes
        ids, repeats = self._identify(batch, row_sizes)
        max_bytes = self._task.config.shards.max_bytes
        lines, rejected = render_lines(ids, batch, self._template, max_bytes)
        if self._task.config.shares_records:
            reject_changed(self._template, batch, lines, rejected)
            lines = self._share_records(ids, repeats, lines, rejected)
        elif repeats:
            self._refuse_repeats(repeats, rejected)
        kept = self._with_digests(self._reject(batch, rejected), batch)
        self._cut(ids, lines, kept, row_sizes, rejected)

    def _with_digests(self, kept: pa.RecordBatch, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the kept columns of rows, after the digest of each row's body if it is known."""
        if not self._has_digests:
            return kept
        columns = [digest_column(batch.column(KEY)), *kept.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema.remove(0))

    def _identify(self, batch: pa.RecordBatch, row_sizes: Sizes) -> tuple[pa.Array, list[int]]:
        if KEY in batch.schema.names:
            return self._ids.identify(batch.column(HASH), batch.column(KEY), row_sizes)
        ids = self._ids.identify_unique(batch.column(HASH))
        if ids is None:
            raise _HashRepeatsError
        return ids, []

    def finish(self) -> dict[str, Any]:
        """Write the pieces that were held back; return the bucket's summary.

        rows: all rows of the bucket, rejected: those without a record, repeated: those of them that
            repeat a key
        reasons: rejected rows by reason, the most frequent ones
        duplicates: rows that repeat a key, if that is an error
        squares: the sum over all lines of bytes squared
        row_bytes, row_squares: the bytes of the kept rows in memory, and the sum of their squares
        """
        for piece in self._cutter.finish():
            self._write(piece)
        self.files.finish()
        self._rejects.publish()
        return {
            "bucket": self.number,
            "rows": self._rows,
            "rejected": self._rejects.rows,
            "repeated": self._repeated,
            "reasons": dict(self._reasons),
            "duplicates": self._duplicates,
            "squares": self._squares,
            "row_bytes": self._row_bytes,
            "row_squares": self._row_squares,
            "shards": [msgspec.structs.asdict(s) for s in self.files.shards],
        }

    def close(self) -> None:
        """Forget the files that are not finished: those of a task that fails."""
        self.files.abort()
        self._rejects.abort()

    def _without_damaged(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Reject the rows that are damaged, and return the others."""
        rejected = damaged_rows(batch, self._task.columns)
        if not rejected:
            return batch
        self._reject(batch, rejected)
        others = np.ones(batch.num_rows, np.bool_)
        others[list(rejected)] = False
        return batch.filter(pa.array(others))

    def _without_repeated_keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Remove the rows whose repeated key was noted before the shuffle, and refuse them."""
        if REPEATED not in batch.schema.names:
            return batch
        repeated = batch.column(REPEATED)
        if repeated.null_count == batch.num_rows:
            return batch
        rows = [i for i, key in enumerate(repeated.to_pylist()) if key is not None]
        rejected: dict[int, RowRejected] = {}
        self._refuse_repeats(rows, rejected)
        self._reject(batch, rejected)
        return batch.filter(pc.is_null(repeated))

    def _refuse_repeats(self, repeats: list[int], rejected: dict[int, RowRejected]) -> None:
        """Reject the rows that repeat a key. If the config makes that an error, count them, too.

        Duplicates that are counted stop prepare before the manifest is written.
        """
        if self._task.config.source.on_duplicate_key == "error":
            self._duplicates += len(repeats)
        self._repeated += len(repeats)
        for row in repeats:
            rejected[row] = RowRejected(", ".join(self._task.columns.key), _REPEATS)

    def _share_records(
        self, ids: pa.Array, repeats: list[int], lines: pa.Array, rejected: dict[int, RowRejected]
    ) -> pa.Array:
        """Return the lines, b"" for a row whose body repeats the row before: it shares that record.

        Rejected rows are skipped: no row can share a record that does not exist.
        """
        repeating, shares = set(repeats), np.zeros(len(ids), bool)
        for row, record_id in enumerate(ids.to_pylist()):
            if row not in rejected:
                shares[row] = row in repeating and record_id == self._last_id
                self._last_id = record_id
        return pc.replace_with_mask(lines, pa.array(shares), pa.scalar(b"", LINES))

    def _reject(self, batch: pa.RecordBatch, rejected: dict[int, RowRejected]) -> pa.RecordBatch:
        """Write the rejected rows to the rejects file; return the kept columns of all rows."""
        kept = with_nullable_fields(batch.select(list(self._task.columns.kept)))
        if rejected:
            rows = sorted(rejected)
            reasons = [rejected[row] for row in rows]
            self._rejects.write(kept.take(pa.array(rows, pa.int64())), reasons)
            self._reasons.update(f"{r.column} {r.reason}" for r in reasons)
            self._reasons = Counter(dict(self._reasons.most_common(_MAX_REASONS)))
        return kept

    def _cut(
        self,
        ids: pa.Array,
        lines: pa.Array,
        kept: pa.RecordBatch,
        row_sizes: Sizes,
        rejected: dict[int, RowRejected],
    ) -> None:
        """Add the rows that were not rejected to the cutter; write the pieces that it releases."""
        if rejected:
            accepted = pa.array([i for i in range(len(ids)) if i not in rejected], pa.int64())
            ids, lines, kept = ids.take(accepted), lines.take(accepted), kept.take(accepted)
            row_sizes = row_sizes[accepted.to_numpy()]
        sizes = np.diff(offsets_of(lines))
        self._squares += int(np.dot(sizes, sizes))
        rows = pa.RecordBatch.from_arrays([ids, *kept], schema=self._schema)
        self._row_bytes += int(row_sizes.sum())
        self._row_squares += _sum_of_squares(row_sizes)
        for piece in self._cutter.add(_Chunk(lines, rows), sizes, row_sizes):
            self._write(piece)

    def _write(self, piece: Piece[_Chunk]) -> None:
        start, length = piece.start, piece.stop - piece.start
        lines, rows = piece.chunk.lines.slice(start, length), piece.chunk.rows.slice(start, length)
        self.files.write(piece.cut, lines, rows)

    def _check_bucket(self, batch: pa.RecordBatch) -> None:
        """Raise PlanError if a row is of another bucket: then Spark's hash is not the expected."""
        buckets = self._task.buckets_of(batch.column(HASH))
        others = buckets[buckets != self._index]
        if len(others):
            raise PlanError(f"Spark put bucket {others[0]} into the task of bucket {self._index}")
