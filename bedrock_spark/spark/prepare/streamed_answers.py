"""Small files of a store of answers: each is read once, and its answers go to where they are asked.

A task of the lookup opens every file that has a part of its range. A store may have thousands of
small files, each with answers of the whole range: every task would open them all. So if they are
many, one task reads each of them, and its answers are repartitioned together with the rows of the
source: they come to the task of their range, before the rows with the same hash.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.answers.lookup import LOOKED_UP
from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import AnswersFile, files_in_groups
from bedrock_spark.answers.table import ANSWERED_AT, BODY_HASH
from bedrock_spark.schema import INTERNAL_PREFIX
from bedrock_spark.shards.hash_ranges import part_of
from bedrock_spark.spark.prepare.columns import HASH
from bedrock_spark.storage import Storage

# The column with an answer; null in rows of the source.
ANSWER = f"{INTERNAL_PREFIX}answer"
# To open a file costs a task about as much as to get this many bytes from another task.
_OPEN_BYTES = 512_000
# Files are opened by each task of their range if that makes at most this many for a task, on
# average: then a column more in each row would cost more.
_FEW_FILES = 16
# A task reads about this many bytes of small files, and at most this many files.
_READ_BYTES, _READ_FILES = 32_000_000, 200
# A part of a lookup gets at most about this many bytes of them.
_PART_BYTES = 16_000_000

_FIELDS = [pa.field(f.name, pa.int64() if f.name == ANSWERED_AT else f.type) for f in LOOKED_UP]
# The fields as Spark has them. A time is a number, so that no session's time zone changes it.
_ANSWER_TYPE = pa.struct(_FIELDS)
_ANSWER_DDL = ", ".join(
    f"{f.name}: {'bigint' if f.type == pa.int64() else 'string'}" for f in _FIELDS
)


def split_files(
    files: Sequence[AnswersFile], parts: int
) -> tuple[tuple[AnswersFile, ...], tuple[AnswersFile, ...]]:
    """Return the files that tasks open, and those that are read once.

    parts: into how many parts the hashes are cut
    A task opens _FEW_FILES on average, or files with at least _OPEN_BYTES for each of their parts.
    """
    spans = _spans(files, parts)
    small = [f for f, span in zip(files, spans, strict=True) if f.size < span * _OPEN_BYTES]
    opens = sum(spans)
    if opens <= _FEW_FILES * parts or len(small) < 2:
        return tuple(files), ()
    streamed = frozenset(small)
    return tuple(file for file in files if file not in streamed), tuple(small)


def parts_for(files: Sequence[AnswersFile]) -> int:
    """Return how many parts there must be so that none gets too much of files that are streamed."""
    return math.ceil(sum(file.size for file in files) / _PART_BYTES)


def _spans(files: Sequence[AnswersFile], parts: int) -> list[int]:
    """Return how many parts each file has hashes of, by its name."""
    if not files:
        return []
    ends = np.array([(file.first, file.last) for file in files], np.int64)
    of_ends = part_of(ends, parts)
    spans: list[int] = (of_ends[:, 1] - of_ends[:, 0] + 1).tolist()
    return spans


def with_answers(
    spark: SparkSession, rows: DataFrame, store: Storage, files: Sequence[AnswersFile]
) -> DataFrame:
    """Return the rows, and a row for each answer in some files: it has only HASH and ANSWER."""
    groups = tuple(tuple(group) for group in files_in_groups(files, _READ_BYTES, _READ_FILES))
    read = spark.range(0, len(groups), 1, len(groups)).mapInArrow(
        ReadAnswers(store, groups), f"`{HASH}` bigint, `{ANSWER}` struct<{_ANSWER_DDL}>"
    )
    nulls = [
        F.col(HASH) if field.name == HASH else F.lit(None).cast(field.dataType).alias(field.name)
        for field in rows.schema.fields
    ]
    no_answer = F.lit(None).cast(f"struct<{_ANSWER_DDL}>").alias(ANSWER)
    return rows.select("*", no_answer).union(read.select(*nulls, F.col(ANSWER)))


@dataclass(frozen=True)
class ReadAnswers:
    """Reads groups of files; sent to executors.

    groups: by the number that a row of the input has
    """

    store: Storage
    groups: tuple[tuple[AnswersFile, ...], ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the answers as rows with HASH and ANSWER."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for file in self.groups[number]:
                    yield from self._read(file)

    def _read(self, file: AnswersFile) -> Iterator[pa.RecordBatch]:
        with closing(OpenAnswers(self.store, file)) as opened:
            for group in opened.groups:
                table = opened.read(group.number, [BODY_HASH, *LOOKED_UP.names])
                hashes = pc.fill_null(table.column(BODY_HASH), 0).cast(pa.int64())
                columns = [_one(table.column(f.name).cast(f.type)) for f in LOOKED_UP]
                fields = [c.cast(f.type) for c, f in zip(columns, _FIELDS, strict=True)]
                answers = pa.StructArray.from_arrays(fields, fields=_FIELDS)
                yield pa.RecordBatch.from_arrays([_one(hashes), answers], [HASH, ANSWER])
                pa.default_memory_pool().release_unused()


def _one(column: pa.ChunkedArray) -> pa.Array:
    own = column.combine_chunks()
    if not isinstance(own, pa.ChunkedArray):
        return own
    return own.chunk(0) if own.num_chunks else pa.nulls(0, own.type)


class StreamedAnswers:
    """The answers that came with the rows of a part, chunk by chunk, in the order of hashes.

    Memory holds those of a chunk, and those with the last hash, whose rows may come in the next.
    """

    def __init__(self) -> None:
        self._held = pa.table({BODY_HASH: pa.array([], pa.int64())} | _empty())

    def take(self, chunk: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.Table | None]:
        """Return the rows of the source in a chunk, and the answers that may belong to them.

        The answers have BODY_HASH and the columns LOOKED_UP; None if no answers come with rows.
        """
        if ANSWER not in chunk.schema.names:
            return chunk, None
        column = chunk.column(ANSWER)
        is_answer = column.is_valid()
        own = chunk.filter(is_answer)
        struct = own.column(ANSWER)
        made = {BODY_HASH: own.column(HASH)} | {
            field.name: part.cast(field.type)
            for field, part in zip(LOOKED_UP, struct.flatten(), strict=True)
        }
        answers = pa.concat_tables([self._held, pa.table(made)]).combine_chunks()
        if chunk.num_rows:
            last = chunk.column(HASH)[-1]
            self._held = answers.filter(pc.equal(answers.column(BODY_HASH), last))
        rows = chunk.filter(pc.invert(is_answer))
        return without_answers(rows), answers


def without_answers(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows without the column ANSWER, if they have it."""
    names = [name for name in rows.schema.names if name != ANSWER]
    return rows if len(names) == rows.num_columns else rows.select(names)


def _empty() -> dict[str, pa.Array]:
    return {field.name: pa.array([], field.type) for field in LOOKED_UP}
