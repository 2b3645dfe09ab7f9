"""Look one range of hashes up in the store of answers: the Spark task of the lookup.

Rows that are known are written as units of kept rows. All others go on, unchanged. If nearly all
rows are asked, this task cuts them into shards itself. A task's memory holds one chunk of rows with
its answers, some row groups of the store, and what the cutter holds back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.lookup import FOUND, REASONS, KeptAnswers, Rules
from bedrock_spark.answers.store import AnswersFile
from bedrock_spark.config import Config
from bedrock_spark.errors import PlanError
from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.invoke.kept_calls import accepting
from bedrock_spark.run_folder import layout
from bedrock_spark.schema import INTERNAL_PREFIX, ROW_RECORD_ID
from bedrock_spark.shards.hash_ranges import part_of, range_of
from bedrock_spark.shards.plan import Bounds
from bedrock_spark.spark.prepare.assign_ids import id_column
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED
from bedrock_spark.spark.prepare.damage import damaged_rows
from bedrock_spark.spark.prepare.kept_files import KeptChunk, KeptFiles, KeptSink, kept_lines
from bedrock_spark.spark.prepare.media_batches import open_objects
from bedrock_spark.spark.prepare.nullable import with_nullable_fields
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.streamed_answers import StreamedAnswers, without_answers
from bedrock_spark.spark.prepare.task import Bucket, PrepareTask
from bedrock_spark.spark.row_bytes import ID_BYTES, row_bytes
from bedrock_spark.spark.worker_process import set_up_worker
from bedrock_spark.storage import Storage

# The column in which a task returns its summary; null in rows that go on.
SUMMARY = f"{INTERNAL_PREFIX}summary"
# A chunk of rows is looked up at once. It ends at about these numbers: of rows, and of bytes of
# rows, or of answers if each row has one.
_CHUNK_ROWS, _CHUNK_BYTES = 20_000, 32_000_000
# Nearly all rows are asked if at least this share of them is.
NEARLY_ALL = 7 / 8

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LookupTask:
    """The lookup of one part of the hashes; sent to executors.

    storage: of the run folder; store: of the answers; files: of the store, as they were pinned,
        without those whose answers come with the rows
    parts: the number of parts; rules: which answers count
    bounds: of a unit
    colliding: hashes that two different bodies of the source have; none of them is looked up
    cutter: the work on the buckets, which are the parts, if this task may cut rows into shards
    """

    config: Config
    columns: SourceColumns
    storage: Storage
    store: Storage
    files: tuple[AnswersFile, ...]
    parts: int
    prepare_id: str
    rules: Rules
    bounds: Bounds
    colliding: frozenset[int] = frozenset()
    cutter: PrepareTask | None = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the rows that are known; yield the others, and last a row with the summary.

        batches: the rows of one part, sorted by HASH and KEY, perhaps with answers among them
        The summary is JSON: `rows` of the part, `units` of kept rows, `why` the others are asked by
        number of rows, `collisions`: hashes that two bodies have, `bucket`: the summary of the rows
        that this task has cut into shards, if it has.
        """
        set_up_worker()
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        part = int(part_of(first.column(HASH)[:1].to_numpy(), self.parts)[0])
        fields = without_answers(first.slice(0, 0)).schema
        with (
            closing(KeptAnswers(self.store, self.files, *range_of(part, self.parts))) as kept,
            closing(_Lookup(self, part, first, kept)) as lookup,
            closing(_Cutting(self.cutter)) as cutting,
        ):
            for chunk in _chunks(first, batches, chunk_rows(kept.row_bytes)):
                unknown = lookup.add(chunk)
                if cutting.takes(unknown.num_rows, chunk.num_rows):
                    cutting.add(unknown)
                elif unknown.num_rows:
                    yield _with_summary(unknown, None)
                # Otherwise Arrow keeps freed memory, and a worker grows with each chunk.
                pa.default_memory_pool().release_unused()
            summary = json.dumps(lookup.finish() | {"bucket": cutting.finish()})
        empty = [pa.nulls(1, field.type) for field in fields]
        yield _with_summary(pa.RecordBatch.from_arrays(empty, names=fields.names), summary)

    def open_files(self, part: int, schema: pa.Schema) -> KeptSink:
        """Return what takes the rows of a part whose answers were kept."""
        unique = {ROW_RECORD_ID, *self.columns.key}
        return KeptFiles(self.storage, self.prepare_id, part, self.bounds, schema, unique)


class _Cutting:
    """Cuts the rows of a part that are asked into shards, if nearly all are.

    Hashes are random, so the first chunk of a part is like the others.
    """

    def __init__(self, cutter: PrepareTask | None) -> None:
        self._cutter = cutter
        self._stack = ExitStack()
        self._takes: bool | None = None if cutter is not None else False
        self._bucket: Bucket | None = None

    def takes(self, asked: int, rows: int) -> bool:
        """Tell whether this cuts the rows of the part. The first chunk decides.

        asked, rows: how many rows of the chunk are asked, and how many it has
        """
        if self._takes is None and rows:
            self._takes = asked >= NEARLY_ALL * rows
        return bool(self._takes)

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows that are asked."""
        if not rows.num_rows:
            return
        if self._bucket is None:
            assert self._cutter is not None
            objects = self._stack.enter_context(open_objects(self._cutter.aws))
            bucket = Bucket(self._cutter, rows, objects)
            self._bucket = self._stack.enter_context(closing(bucket))
        self._bucket.add(rows)

    def finish(self) -> dict[str, Any] | None:
        """Write what is left; return the summary of the bucket, if there is one."""
        if self._bucket is None or self._cutter is None:
            return None
        return self._cutter.finish(self._bucket)

    def close(self) -> None:
        """Forget the files that are not finished."""
        self._stack.close()


class _Lookup:
    """The lookup of one part, chunk by chunk."""

    def __init__(
        self, task: LookupTask, part: int, first: pa.RecordBatch, kept: KeptAnswers
    ) -> None:
        self._task = task
        self._part = part
        self._kept = kept
        source = with_nullable_fields(first.slice(0, 0).select(list(task.columns.kept))).schema
        self._schema = pa.schema([pa.field(ROW_RECORD_ID, pa.string()), *source])
        self._files = task.open_files(layout.bucket_number(part, task.parts), self._schema)
        self._accept = accepting(task.config)
        self._rows = 0
        self._why: Counter[str] = Counter()
        self._collisions: set[int] = set()
        self._last: tuple[int, str] | None = None
        self._colliding = np.array(sorted(task.colliding), np.int64)
        self._streamed = StreamedAnswers()

    def add(self, chunk: pa.RecordBatch) -> pa.RecordBatch:
        """Write the rows of a chunk that are known; return the others."""
        parts = part_of(chunk.column(HASH).to_numpy(), self._task.parts)
        if (parts != self._part).any():
            raise PlanError(f"Spark put part {parts.max()} into the task of part {self._part}")
        chunk, streamed = self._streamed.take(chunk)
        self._rows += chunk.num_rows
        self._note_collisions(chunk)
        rows = np.flatnonzero(self._are_asked(chunk))
        if not len(rows):
            return chunk
        hashes = chunk.column(HASH).to_numpy()[rows]
        is_first = np.append(True, hashes[1:] != hashes[:-1])
        firsts, bodies = rows[is_first], np.cumsum(is_first) - 1
        digests = chunk.column(KEY)

        def sha256(which: Sequence[int]) -> list[bytes]:
            return [bytes.fromhex(d) for d in digests.take(pa.array(firsts[which])).to_pylist()]

        with garbage_collection_paused():
            found = self._kept.find(
                *(hashes[is_first], sha256, self._task.rules, self._accept, streamed)
            )
        why = found.why[bodies]
        counts = np.bincount(why[why != FOUND], minlength=len(REASONS)).tolist()
        self._why.update({reason: n for reason, n in zip(REASONS, counts, strict=True) if n})
        if not len(found.bodies):
            return chunk
        is_known = why == FOUND
        self._write(chunk, rows[is_known], hashes[is_known], bodies[is_known], found.answers)
        others = np.ones(chunk.num_rows, np.bool_)
        others[rows[is_known]] = False
        return chunk.filter(pa.array(others))

    def _are_asked(self, chunk: pa.RecordBatch) -> _Mask:
        """Tell which rows would be asked: not those that prepare rejects."""
        is_asked: _Mask = chunk.column(KEY).is_valid().to_numpy(zero_copy_only=False)
        is_asked &= chunk.column(REPEATED).is_null().to_numpy(zero_copy_only=False)
        is_asked[list(damaged_rows(chunk, self._task.columns))] = False
        if len(self._colliding):
            is_asked &= ~np.isin(chunk.column(HASH).to_numpy(), self._colliding)
        return is_asked

    def _note_collisions(self, chunk: pa.RecordBatch) -> None:
        """Note hashes that two bodies have; they follow each other, perhaps in two chunks."""
        keys = chunk.column(KEY)
        valid = np.flatnonzero(keys.is_valid().to_numpy(zero_copy_only=False))
        if not len(valid):
            return
        if keys.null_count:
            keys = keys.take(pa.array(valid))
        hashes = chunk.column(HASH).to_numpy()[valid]
        if self._last is not None:
            last_hash, last_key = self._last
            if last_hash == hashes[0] and last_key != keys[0].as_py():
                self._collisions.add(last_hash)
        is_same = hashes[1:] == hashes[:-1]
        if is_same.any():
            differs = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
            self._collisions.update(hashes[1:][is_same & differs].tolist())
        self._last = int(hashes[-1]), keys[-1].as_py()

    def _write(
        self,
        chunk: pa.RecordBatch,
        rows: npt.NDArray[np.int64],
        hashes: npt.NDArray[np.int64],
        bodies: npt.NDArray[np.int64],
        answers: pa.Table,
    ) -> None:
        """Write rows with their answers.

        hashes, bodies: of each row; the answers are those of these bodies, in their order
        """
        is_first = np.append(True, bodies[1:] != bodies[:-1])
        lines = kept_lines(id_column(hashes[is_first]), answers)
        kept = chunk.select(list(self._task.columns.kept)).take(pa.array(rows))
        own = [id_column(hashes), *with_nullable_fields(kept).columns]
        sizes = row_bytes(kept) + ID_BYTES
        written = pa.RecordBatch.from_arrays(own, schema=self._schema)
        self._files.write(KeptChunk(written, sizes, np.cumsum(is_first) - 1, lines))

    def finish(self) -> dict[str, Any]:
        """End the files; return the summary of the part."""
        self._files.finish()
        return {
            "rows": self._rows,
            "units": [asdict(unit) for unit in self._files.units],
            "why": dict(self._why),
            "collisions": sorted(self._collisions),
        }

    def close(self) -> None:
        """Forget the files that are not finished: those of a task that fails."""
        self._files.abort()


def chunk_rows(answer_bytes: int) -> int:
    """Return the most rows of a chunk: answers may be long, such as images or embeddings."""
    return max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // max(1, answer_bytes)))


def _chunks(
    first: pa.RecordBatch, batches: Iterator[pa.RecordBatch], most: int
) -> Iterator[pa.RecordBatch]:
    """Yield all rows in batches of a bounded size: small ones together, large ones in slices.

    most: rows of a batch
    """
    held = [first]
    held_rows, held_bytes = first.num_rows, first.nbytes
    for batch in batches:
        if held_rows + batch.num_rows > most or held_bytes + batch.nbytes > _CHUNK_BYTES:
            yield from _sliced(held, most)
            held, held_rows, held_bytes = [], 0, 0
        held.append(batch)
        held_rows, held_bytes = held_rows + batch.num_rows, held_bytes + batch.nbytes
    yield from _sliced(held, most)


def _sliced(held: Sequence[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    for batch in pa.Table.from_batches(held).combine_chunks().to_batches():
        rows = max(1, min(most, batch.num_rows * _CHUNK_BYTES // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _with_summary(batch: pa.RecordBatch, summary: str | None) -> pa.RecordBatch:
    texts = pa.repeat(pa.scalar(summary, pa.string()), batch.num_rows)
    return pa.RecordBatch.from_arrays([*batch.columns, texts], names=[*batch.schema.names, SUMMARY])
