"""The two tasks of keep: one reads the answers of some units, one writes a range of hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedrock_spark.answers.store import AnswersFile
from bedrock_spark.answers.table import BODY_HASH, SCHEMA, write_answers
from bedrock_spark.outputs.record_outcome import KEPT
from bedrock_spark.run_folder import layout
from bedrock_spark.shards.hash_ranges import part_of, range_of
from bedrock_spark.spark.keep.earlier import EarlierAnswers
from bedrock_spark.spark.keep.rows import answers_of, is_hash, merged
from bedrock_spark.storage import Storage, scratch_folder

# A batch of results has at most this many rows, and of large ones about this many bytes.
_BATCH_ROWS, _BATCH_BYTES = 4_000, 8_000_000
_BUFFER_BYTES = 1_000_000


@dataclass(frozen=True)
class ReadTask:
    """Reads the answers of units that are to be kept; sent to executors.

    units: by the number that a row of the input has
    prefix: of the names of result columns
    outcomes: of the answers that are kept
    """

    storage: Storage
    units: tuple[str, ...]
    prefix: str
    outcomes: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the answers as rows of the store; those of a unit that share a record once."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from self._read(self.units[number])

    def _read(self, unit: str) -> Iterator[pa.RecordBatch]:
        names = [name for name in SCHEMA.names if name != BODY_HASH]
        read = [f"{self.prefix}{name}" for name in names]
        with scratch_folder("keep") as folder:
            path = self.storage.fetch(layout.results_key(unit), folder / "results")
            with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
                rows = _batch_rows(file)
                for batch in file.iter_batches(rows, columns=read, use_threads=False):
                    own = batch.select(read).rename_columns(names)
                    kept = own.filter(self._is_kept(own))
                    if kept.num_rows:
                        yield merged(answers_of(kept))
                    pa.default_memory_pool().release_unused()

    def _is_kept(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell which rows have an answer that this run has paid for, and whose request is known."""
        is_wanted = pc.is_in(rows.column("outcome"), pa.array(self.outcomes, pa.string()))
        is_own = pc.fill_null(pc.not_equal(rows.column("served_by"), KEPT), False)
        has_answer = pc.is_valid(rows.column("model_output"))
        has_hash = is_hash(rows.column("record_id"))
        has_digest = pc.is_valid(rows.column("request_digest"))
        return reduce(pc.and_, (is_own, has_answer, has_hash, has_digest), is_wanted)


def _batch_rows(file: pq.ParquetFile) -> int:
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    largest = max((one.total_byte_size // max(1, one.num_rows) for one in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))


@dataclass(frozen=True)
class WriteTask:
    """Writes the answers of a part of the hashes as one file of the store; sent to executors.

    parts: how many parts there are
    written_at, label: of the names of the files, see `write_answers`
    run_id, earlier: files that may have answers of the run, which are not added again
    """

    store: Storage
    parts: int
    written_at: float
    label: str
    run_id: str = ""
    earlier: tuple[AnswersFile, ...] = ()

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the file; yield a row with the number of its answers. Nothing if there are none.

        batches: the rows of one part, sorted by hash, digest and record
        """
        new = (rows for rows in self._new(map(_cast, batches)) if rows.num_rows)
        first = next(new, None)
        if first is None:
            return
        part = int(part_of(first.column(0)[:1].to_numpy(), self.parts)[0])
        counted = _Counted(first, new)
        write_answers(self.store, self.written_at, self.label, part, counted)
        yield pa.RecordBatch.from_pydict({"answers": [counted.rows]}, _WRITTEN)

    def _new(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows that no earlier file has. Rows that share a record have one time."""
        if not self.earlier:
            yield from batches
            return
        earlier: EarlierAnswers | None = None
        for batch in batches:
            if batch.num_rows and earlier is None:
                part = int(part_of(batch.column(0)[:1].to_numpy(), self.parts)[0])
                own = range_of(part, self.parts)
                earlier = EarlierAnswers(self.store, self.earlier, self.run_id, *own)
            yield batch if earlier is None else earlier.without(batch)


_WRITTEN = pa.schema([("answers", pa.int64())])


class _Counted:
    """The rows of a part, each record once. rows: how many were read so far."""

    def __init__(self, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> None:
        self.rows = 0
        self._first = first
        self._rest = rest

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        # The last row of a batch may share its record with the first one of the next batch.
        held = self._first
        for batch in self._rest:
            together = merged(_joined(held, batch))
            ready = together.num_rows - 1
            if ready:
                self.rows += ready
                yield together.slice(0, ready)
            held = together.slice(ready)
        last = merged(held)
        self.rows += last.num_rows
        yield last


def _joined(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    (joined,) = pa.Table.from_batches([one, other]).combine_chunks().to_batches()
    return joined


def _cast(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows that come from Spark in the types of the store: times have another zone."""
    columns = [batch.column(field.name).cast(field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
