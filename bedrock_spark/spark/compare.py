"""Compare tables of any size: one shuffle by the hash of the key, of compact rows only."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from bedrock_spark.config import SourceConfig
from bedrock_spark.pairs.compact import compact, compact_schema
from bedrock_spark.pairs.read_results import ResultFiles
from bedrock_spark.pairs.sides import Column, Side
from bedrock_spark.pairs.tally import Question, Tally, tally
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.prepare.source import read_source

# The compact rows that a task sorts, at most: each has some 150 bytes in Java.
_ROWS_OF_A_TASK = 500_000
# The tasks whose counts Spark's driver adds up, at most: some 100 kB each.
_MOST_OF_THE_DRIVER = 200
_COUNTS = "counts binary"
_DDL = {pa.int64(): "bigint", pa.int8(): "tinyint", pa.float64(): "double", pa.string(): "string"}


def tally_on_spark(
    spark: SparkSession,
    runs: Sequence[tuple[ResultFiles, int]],
    gold: DataFrame | None,
    sides: Sequence[Side],
    columns: tuple[Column, ...],
    questions: tuple[Question, ...],
    gold_rows: int = 0,
) -> list[Tally]:
    """Return what is counted for each question. Runs one Spark action.

    runs: the results of each run, and the number of their rows; gold: the true values
    sides: of the runs, then of the true values
    gold_rows: the number of true values, as far as it is known
    """
    ddl = ", ".join(f"{f.name} {_DDL[f.type]}" for f in compact_schema(columns))
    frames = [
        spark.range(0, len(files.units), 1, len(files.units)).mapInArrow(
            _CompactRun(files, side), ddl
        )
        for (files, _), side in zip(runs, sides, strict=False)
    ]
    if gold is not None:
        names = [quote_name(name) for name in sides[-1].needed]
        frames.append(gold.select(*names).mapInArrow(_CompactGold(sides[-1]), ddl))
    together = frames[0]
    for frame in frames[1:]:
        together = together.unionAll(frame)
    tasks = max(1, -(-(gold_rows + sum(rows for _, rows in runs)) // _ROWS_OF_A_TASK))
    by_key = together.repartition(tasks, "k1").sortWithinPartitions("k1", "k2")
    counted = by_key.mapInArrow(_Count(columns, questions), _COUNTS)
    if tasks > _MOST_OF_THE_DRIVER:
        # The counts of thousands of tasks may be gigabytes: other tasks add most of them up.
        counted = counted.repartition(math.isqrt(tasks)).mapInArrow(_Merge(questions), _COUNTS)
    return merged((row.counts for row in counted.collect()), questions)


def merged(counts: Iterable[bytes], questions: Sequence[Question]) -> list[Tally]:
    """Return the sum of what tasks have counted, for each question."""
    found = [Tally() for _ in questions]
    for each in counts:
        for question, own, other in zip(questions, found, pickle.loads(each), strict=True):
            own.merge(other, question.samples)
    return found


def truth_frame(
    spark: SparkSession, frame: DataFrame | None, source: SourceConfig | None
) -> tuple[DataFrame, pa.Schema]:
    """Return true values as a DataFrame, and its types in Arrow. Raises ConfigError.

    frame: of the caller; if it is None, the source is read
    """
    if frame is None:
        frame = read_source(spark, source or SourceConfig())
    return frame, to_arrow_schema(frame.schema)


def text_frame(
    spark: SparkSession, names: Sequence[str], rows: Sequence[tuple[str | None, ...]]
) -> DataFrame:
    """Return texts as a DataFrame."""
    return spark.createDataFrame(list(rows), ", ".join(f"{quote_name(n)} string" for n in names))


@dataclass(frozen=True)
class _CompactRun:
    """Reads results files as compact rows; Spark sends it to the executors."""

    files: ResultFiles
    side: Side

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from self.files.compact(index, self.side)


@dataclass(frozen=True)
class _CompactGold:
    """Makes compact rows of true values; Spark sends it to the executors."""

    side: Side

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        task, row = context.partitionId() if context is not None else 0, 0
        for batch in batches:
            yield compact(batch, self.side, task, row)
            row += batch.num_rows


@dataclass(frozen=True)
class _Count:
    """Counts the rows of a partition, which are sorted by key."""

    columns: tuple[Column, ...]
    questions: tuple[Question, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield _as_batch(tally(batches, self.columns, self.questions))


@dataclass(frozen=True)
class _Merge:
    """Adds up what several tasks have counted."""

    questions: tuple[Question, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts = (each.as_py() for batch in batches for each in batch.column(0))
        yield _as_batch(merged(counts, self.questions))


def _as_batch(counted: list[Tally]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"counts": pa.array([pickle.dumps(counted)], pa.binary())})
