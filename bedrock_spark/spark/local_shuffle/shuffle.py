"""Shuffle the rows of plain files on this machine, and do the work of prepare on each bucket."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import msgspec
import pyarrow as pa
from pyspark.sql import SparkSession

from bedrock_spark.errors import PlanError
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.spark.examine import local_folders
from bedrock_spark.spark.local_shuffle.key_hashes import key_hashes
from bedrock_spark.spark.local_shuffle.pieces import PieceWriter, merged_rows
from bedrock_spark.spark.local_shuffle.plain_files import FileColumns, PlainFiles, RowGroup
from bedrock_spark.spark.prepare.task import PrepareTask, Summaries
from bedrock_spark.spark.tasks import run_per_unit
from bedrock_spark.storage.scratch import scratch_folder

log = logging.getLogger(__name__)

_STAGE = "prepare"
# The rows that a task puts in order at once, and holds in memory twice.
_ORDERED_BYTES = 16_000_000
# A task reads row groups of about this size.
_TASK_BYTES = 128_000_000
# Of more buckets, a task has too few rows at once: then pieces are a few rows.
_MOST_BUCKETS = 512


@dataclass(frozen=True)
class _Part:
    """Row groups that one task reads."""

    number: int
    groups: tuple[RowGroup, ...]

    @property
    def unit(self) -> str:
        """Return what a message calls this part."""
        return self.groups[0].file.path


class _Shuffled(msgspec.Struct):
    """The rows that a task has written. why: what only Spark can read; None if all is written"""

    rows: int
    why: str | None = None


class _Cut(msgspec.Struct):
    """What the work on a bucket has returned: its summary as JSON; None if it has no rows."""

    summary: str | None


@dataclass(frozen=True)
class _WritePieces:
    """Writes the rows of a part in the order of bucket and hash; sent to tasks.

    rows: that are put in order at once
    """

    columns: FileColumns
    rows: int
    buckets: int
    folder: Path

    def __call__(self, part: _Part) -> _Shuffled:
        try:
            return _Shuffled(self._write(part))
        except NeedsSparkError as exc:
            return _Shuffled(0, str(exc))
        except (pa.ArrowException, OSError) as exc:
            # Its text may quote a value. Spark tells what is wrong with the file.
            return _Shuffled(0, type(exc).__name__)

    def _write(self, part: _Part) -> int:
        columns, path, rows = self.columns, self.folder / f"{part.number:05d}", 0
        with PieceWriter(path, columns.schema, self.buckets) as writer:
            for file, groups in groupby(part.groups, key=attrgetter("file")):
                numbers = [group.number for group in groups]
                for batch in columns.read(file, numbers, self.rows):
                    writer.add(batch, key_hashes([batch.column(name) for name in columns.key]))
                    rows += batch.num_rows
        pa.default_memory_pool().release_unused()
        return rows


@dataclass(frozen=True)
class _CutBucket:
    """Does the work of prepare on the rows of a bucket; sent to tasks."""

    task: PrepareTask
    folder: Path

    def __call__(self, bucket: int) -> _Cut:
        made = list(self.task(merged_rows(self.folder, bucket, self.task.buckets)))
        return _Cut(made[0].column("summary")[0].as_py() if made else None)


def _parts(groups: tuple[RowGroup, ...]) -> Iterator[_Part]:
    """Yield the row groups of each task."""
    number, size = 0, 0
    held: list[RowGroup] = []
    for group in groups:
        if held and size + group.size > _TASK_BYTES:
            yield _Part(number, tuple(held))
            number, size, held = number + 1, 0, []
        size += group.size
        held.append(group)
    if held:
        yield _Part(number, tuple(held))


def cut_files(
    spark: SparkSession, files: PlainFiles, task: PrepareTask, begin: Callable[[], object]
) -> Summaries | None:
    """Shuffle all rows and do the task of each bucket; return the buckets' summaries.

    None if only Spark can read the rows, or there are too many buckets: then nothing was written.

    begin: is called before the first file is written that stays, and may raise an error
    Runs two Spark actions. Raises SparkFailedError, and what the task raises.
    """
    if task.buckets > _MOST_BUCKETS:
        return None
    places = [Path(name) for name, _ in local_folders(spark)]
    with scratch_folder("shuffle", places) as folder:
        at_once = max(1, _ORDERED_BYTES // files.row_bytes)
        work = _WritePieces(files.columns, at_once, task.buckets, folder)
        done = run_per_unit(spark, _parts(files.groups), work, _Shuffled, _STAGE)
        why = next((part.why for part in done if part.why is not None), None)
        if why is not None:
            log.info("Spark reads the source: %s", why)
            return None
        begin()
        cut = _CutBucket(task, folder)
        written = run_per_unit(spark, range(task.buckets), cut, _Cut, _STAGE)
    summaries = [json.loads(one.summary) for one in written if one.summary is not None]
    _check_rows(files, summaries)
    return summaries


def _check_rows(files: PlainFiles, summaries: Summaries) -> None:
    """Raise PlanError unless every row has come to be cut."""
    if any("hash_repeats" in bucket for bucket in summaries):
        return  # rows are left: Spark's shuffle puts them in order
    rows = sum(bucket["rows"] for bucket in summaries)
    if rows != files.rows:
        raise PlanError(
            f"source: its files have {files.rows} rows, of which {rows} were cut into shards; the "
            "manifest was not written"
        )
