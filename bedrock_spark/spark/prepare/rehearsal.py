"""Rehearse prepare: cut the source into shards as prepare does, and write nothing.

The shards are exactly those that prepare would write, because the same code cuts them. Of each
bucket the first lines are a sample: buckets are in the order of a hash, so the lines are random.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import Shard, shard_of
from bedrock_spark.run_folder.prepared import KnownKeys, Prepared
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import read_shard
from bedrock_spark.spark.local_shuffle.plain_files import find_plain_files
from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of
from bedrock_spark.spark.prepare.cut_rows import cut_rows
from bedrock_spark.spark.prepare.kept_files import KeptSink, KeptUnits
from bedrock_spark.spark.prepare.key_repeats import with_known_keys
from bedrock_spark.spark.prepare.known_keys import EarlierRows
from bedrock_spark.spark.prepare.looked import Looked
from bedrock_spark.spark.prepare.lookup import Lookup
from bedrock_spark.spark.prepare.lookup_task import LookupTask
from bedrock_spark.spark.prepare.refused_rows import reasons_of, refusals_of
from bedrock_spark.spark.prepare.repartitioning import Repartitioning
from bedrock_spark.spark.prepare.shard_files import RejectSink, ShardSink
from bedrock_spark.spark.prepare.source import reading
from bedrock_spark.spark.prepare.table import open_table
from bedrock_spark.spark.prepare.task import Bucket, PrepareTask
from bedrock_spark.spark.tasks import observed_tasks
from bedrock_spark.templates.body_template import RowRejected

# The lines of the sample, in total and of one bucket, and the most bytes of a bucket's: the Spark
# driver gets them all.
_SAMPLE_LINES, _SAMPLE_BYTES = 100, 4_000_000


def rehearse(
    spark: SparkSession,
    run: Run,
    df: DataFrame | None = None,
    observe: Observer = ignore_progress,
    clock: Clock | None = None,
    earlier: EarlierRows | None = None,
) -> Prepared:
    """Return what prepare would write; write nothing. Reads the whole source, as prepare does.

    clock: says how old kept answers are
    earlier: the rows of the last run, to tell which rows that are asked are new

    Raises ConfigError, SourceError and PlanError for what prepare refuses before it reads all rows.
    """
    config = run.config
    with reading(config.source, df):
        table = open_table(spark, config, df, run.aws)
        columns, storage, aws = table.columns, run.storage, run.aws
        with observed_tasks(spark, "plan", observe) as tasks, table.read_once() as rows:
            repartitioning = Repartitioning(
                *(config, aws, columns, rows),
                lambda buckets, is_by_range: RehearsalTask(
                    config, columns, storage, aws, buckets, "", is_by_range
                ),
                find_plain_files(spark, config, table),
            )
            size = repartitioning.estimate_size()
            columns = with_known_keys(rows, columns, config)
            repartitioning = replace(repartitioning, columns=columns)
            lookup = Lookup(
                *(config, columns, storage, aws, rows, "", (clock or SystemClock()).now()),
                task_type=RehearsalLookupTask,
            )
            keeps_rows = earlier is not None
            with cut_rows(lookup, repartitioning, size, tasks, keeps_rows=keeps_rows) as (
                looked,
                summaries,
            ):
                known = _known_keys(spark, earlier, rows, looked)
    return Prepared(
        rows=sum(bucket["rows"] for bucket in summaries) + looked.kept_rows,
        rejected=sum(bucket["rejected"] for bucket in summaries),
        reasons=dict(reasons_of(summaries).most_common()),
        shards=tuple(shard_of(s) for bucket in summaries for s in bucket["shards"]),
        sample=tuple(line for b in summaries for line in read_shard(b["sample"].encode())),
        refusals=tuple(refusals_of(config, summaries, kept_rows=looked.kept_rows)),
        source=table.state,
        kept=looked.kept_rows,
        why_asked=looked.why_asked(sum(b["rows"] - b["rejected"] for b in summaries)),
        known_keys=known,
    )


def _known_keys(
    spark: SparkSession, earlier: EarlierRows | None, rows: DataFrame, looked: Looked
) -> KnownKeys | None:
    """Count the rows that go on whose key the earlier run had."""
    if earlier is None or not looked.is_read:
        return None
    if looked.rows is not None:
        return earlier.count_in(spark, looked.rows)
    found = earlier.count_in(spark, rows)
    # The store is empty: it has no answer of that run, whatever its results say.
    return None if found is None else KnownKeys(0, found.answered + found.unanswered)


@dataclass(frozen=True)
class RehearsalLookupTask(LookupTask):
    """The lookup of a part, without a file."""

    def open_files(self, part: int, schema: pa.Schema) -> KeptSink:
        """Return what counts the rows whose answers were kept."""
        return KeptUnits(part, self.bounds)


@dataclass(frozen=True)
class RehearsalTask(PrepareTask):
    """The work on one bucket, without a file."""

    def open_files(self, bucket: int, schema: pa.Schema, unique: Collection[str]) -> ShardSink:
        """Return what counts the records of a bucket."""
        lines = -(-_SAMPLE_LINES // self.buckets)
        return CountedShards(bucket, lines, self.config.shards.max_files)

    def open_rejects(self, bucket: int, kept: pa.Schema) -> RejectSink:
        """Return what counts the rejected rows of a bucket."""
        return CountedRejects()

    def finish(self, bucket: Bucket) -> dict[str, Any]:
        """Return the summary of a bucket, and its part of the sample as text."""
        summary = bucket.finish()
        assert isinstance(bucket.files, CountedShards)
        return {**summary, "sample": b"".join(bucket.files.sample).decode()}


class CountedRejects:
    """Counts the rejected rows of a bucket."""

    def __init__(self) -> None:
        self.rows = 0

    def write(self, rows: pa.RecordBatch, reasons: Sequence[RowRejected]) -> None:
        """Count rejected rows."""
        self.rows += len(reasons)

    def publish(self) -> None:
        """Write nothing."""

    def abort(self) -> None:
        """Forget nothing."""


class CountedShards:
    """Counts the records of a bucket's shards, digests their lines, and keeps its first lines.

    sample: at most `lines` lines, each with its line break
    """

    def __init__(self, bucket: int, lines: int, max_files: int = 1) -> None:
        self.shards: list[Shard] = []
        self.sample: list[bytes] = []
        self._bucket, self._max_files = bucket, max_files
        self._lines, self._bytes_left = lines, _SAMPLE_BYTES
        self._open_number = -1
        self._sha256 = hashlib.sha256()

    def write(self, cut: int, lines: pa.Array, rows: pa.RecordBatch) -> None:
        """Count the records of the bucket's file `cut`, and the rows that share one."""
        number = cut // self._max_files
        if number != self._open_number:
            self.finish()
            self._open_number, self._sha256 = number, hashlib.sha256()
            self.shards.append(Shard(layout.shard_id(self._bucket, number), 0, 0, ""))
        sizes = np.diff(offsets_of(lines))
        records = int(np.count_nonzero(sizes))
        data, last = flat_bytes(lines), self.shards[-1]
        self._sha256.update(data)
        self.shards[-1] = msgspec.structs.replace(
            last,
            records=last.records + records,
            bytes=last.bytes + len(data),
            sharing=last.sharing + rows.num_rows - records,
        )
        self._sample(lines)

    def finish(self) -> None:
        """Note the digest of the last shard. Write nothing."""
        if self.shards:
            sha256 = self._sha256.hexdigest()
            self.shards[-1] = msgspec.structs.replace(self.shards[-1], sha256=sha256)

    def abort(self) -> None:
        """Forget nothing."""

    def _sample(self, lines: pa.Array) -> None:
        for line in lines[: self._lines * 4] if self._lines else ():
            data = line.as_py()
            if data and self._lines and len(data) <= self._bytes_left:
                self.sample.append(data)
                self._lines -= 1
                self._bytes_left -= len(data)
