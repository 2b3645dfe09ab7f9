"""Run a function once per unit of work, each unit in its own Spark task, and return the results.

`spark.range(0, n, 1, n)` makes one task per unit without a shuffle, on classic Spark and over Spark
Connect. The result of a unit is sent to the Spark driver as JSON, so it must be small.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bedrock_spark.progress import Observer, Progress, ignore_progress
from bedrock_spark.run_folder.heartbeat import run_periodically
from bedrock_spark.spark.errors import noted_unit, stage_errors

# How often the progress of tasks is read.
_POLL_SECONDS = 0.25

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def run_per_unit(
    spark: SparkSession,
    units: Sequence[Unit],
    work: Callable[[Unit], Result],
    result_type: type[Result],
    stage: str,
) -> list[Result]:
    """Return `work(unit)` for every unit, in no particular order. Runs one Spark action.

    An error of this package that ends a task is raised here. Raises SparkFailedError for any other.

    stage: for messages
    result_type: a msgspec struct, so that a result can be sent as JSON
    """
    if not units:
        return []

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                with noted_unit(_name_of(units[index])):
                    result = msgspec.json.encode(work(units[index])).decode()
                yield pa.RecordBatch.from_pydict({"result": [result]})

    count = len(units)
    with stage_errors(stage):
        rows = spark.range(0, count, 1, count).mapInArrow(task, "result string").collect()
    return [msgspec.json.decode(row[0], type=result_type) for row in rows]


def _name_of(unit: object) -> str:
    """Return the shards of a unit of work, for messages."""
    if isinstance(unit, (tuple, list)):
        names = sorted({_name_of(part) for part in unit})
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        return f"{names[0]}{more}" if names else ""
    return str(getattr(unit, "unit", None) or getattr(unit, "shard_id", None) or unit)


@contextmanager
def observed_tasks(
    spark: SparkSession,
    stage: str,
    observe: Observer,
    group: str | None = None,
    records: int | None = None,
    unit: str = "records",
) -> Iterator[TaskProgress]:
    """Report the progress of the tasks of all Spark actions that this thread runs in the block.

    Spark Connect cannot report tasks: then only start and end of the stage are reported.

    group: the name by which `cancel_jobs` can end these actions
    records: of all tasks, counted in `unit`; None if the number is not known yet
    """
    tasks = TaskProgress(stage, observe, unit, records)
    tasks.begin()
    context = classic_context(spark)
    if context is None:
        with _tagged(spark, group):
            yield tasks
        tasks.end()
        return
    if group is None and observe is ignore_progress:
        yield tasks
        return
    group = group or f"bedrock-spark-{stage}-{uuid.uuid4().hex[:8]}"
    context.setJobGroup(group, f"bedrock_spark {stage}", interruptOnCancel=True)
    report = partial(_report, context.statusTracker(), group, tasks)
    tasks.refresh = report
    try:
        with run_periodically(f"watching the tasks of {stage}", report, lambda: _POLL_SECONDS):
            yield tasks
        tasks.end()
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
        context.setLocalProperty("spark.job.description", None)


@dataclass
class TaskProgress:
    """The progress of Spark tasks, in records.

    refresh: calls `note` with the tasks as they are now

    Spark tells which tasks have finished, not how many records they have read: records count as
    done in proportion to the finished tasks. As long as their number is unknown, tasks are counted.
    """

    stage: str
    observe: Observer
    unit: str = "records"
    records: int | None = None
    refresh: Callable[[], None] = lambda: None
    _finished: int = 0
    _earlier: int = 0
    _done: int = 0

    def expect(self, records: int) -> None:
        """Set the number of records. They are read by the tasks that begin from now on."""
        self.refresh()
        self.records, self._earlier = records, self._finished
        self.begin()

    def begin(self) -> None:
        """Report that the stage has begun."""
        self.observe(self._at(0, ""))

    def note(self, finished: int, tasks: int) -> None:
        """Report how many of the tasks have finished."""
        self._finished = finished
        detail = f"{finished:,} of {tasks:,} tasks of Spark"
        if self.records is None:
            self.observe(self._at(0, detail))
            return
        # If all tasks that Spark tells of have finished, the next ones are about to begin.
        if finished < tasks:
            own = tasks - self._earlier
            self._done = self.records * max(0, finished - self._earlier) // own if own > 0 else 0
        self.observe(self._at(self._done, detail))

    def end(self) -> None:
        """Report that all is done."""
        total = self.records or 0
        self.observe(Progress(self.stage, total, total, unit=self.unit))

    def _at(self, done: int, detail: str) -> Progress:
        return Progress(self.stage, done, self.records, detail, self.unit, waits_for="Spark")


def cancel_jobs(spark: SparkSession, group: str) -> None:
    """End the Spark actions of a group. They raise an error in the thread that runs them.

    Call it again until that has happened: an action that begins later is not ended.
    """
    context = classic_context(spark)
    if context is not None:
        context.cancelJobGroup(group)
    else:
        spark.interruptTag(group)


@contextmanager
def _tagged(spark: SparkSession, tag: str | None) -> Iterator[None]:
    """Tag the actions of the block over Spark Connect, which has no job groups."""
    if tag is None:
        yield
        return
    spark.addTag(tag)
    try:
        yield
    finally:
        spark.removeTag(tag)


def classic_context(spark: SparkSession) -> Any:
    """Return the session's SparkContext, or None over Spark Connect, which has none."""
    try:
        return spark.sparkContext
    except (PySparkException, AttributeError, NotImplementedError):
        return None


def _report(tracker: Any, group: str, tasks: TaskProgress) -> None:
    """Report the finished tasks of all Spark jobs of a job group.

    Spark forgets old jobs and stages: their infos are None.
    """
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    infos = [tracker.getStageInfo(s) for job in jobs if job for s in job.stageIds]
    stages = [info for info in infos if info is not None]
    if stages:
        tasks.note(sum(s.numCompletedTasks for s in stages), sum(s.numTasks for s in stages))
