"""Run a function once per unit of work in Spark tasks, and return the results.

A unit travels as a part of its task's row, so a task gets its own units and no others. On classic
Spark the rows are an RDD with a partition per task. Spark Connect has no RDDs: there the rows are a
DataFrame, which is partitioned by the number of the task. The result of a unit is sent to the Spark
driver as JSON, so it must be small.
"""

from __future__ import annotations

import logging
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bedrock_spark.heartbeat import run_periodically
from bedrock_spark.progress import Observer, Progress, ignore_progress
from bedrock_spark.spark.connect_progress import Step, reported_by_server
from bedrock_spark.spark.errors import SPARK_ERRORS, noted_unit, stage_errors
from bedrock_spark.spark.packing import pack
from bedrock_spark.spark.worker_process import keep_pandas_out, set_up_worker

log = logging.getLogger(__name__)

# How often the progress of tasks is read.
_POLL_SECONDS = 0.25

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def run_per_unit(
    spark: SparkSession,
    units: Iterable[Unit],
    work: Callable[[Unit], Result],
    result_type: type[Result],
    stage: str,
) -> list[Result]:
    """Return `work(unit)` for every unit, each in its own task. Runs one Spark action.

    The results are in no particular order. An error of this package that ends a task is raised
    here. Raises SparkFailedError for any other.

    stage: for messages
    result_type: a msgspec struct, so that a result can be sent as JSON
    """
    tasks = [[pickle.dumps(unit)] for unit in units]
    return [
        msgspec.json.decode(result, type=result_type)
        for result in _results(spark, tasks, work, stage)
    ]


def run_packed(
    spark: SparkSession,
    units: Iterable[tuple[Unit, int]],
    work: Callable[[Unit], object],
    stage: str,
) -> list[bytes]:
    """Return `work(unit)` for every unit as JSON; a task does several units one after another.

    Runs one Spark action, or none if there are no units. If a task fails or its executor is lost,
    Spark runs it again from its first unit: `work` must notice what it has done already. Raises as
    `run_per_unit`.

    units: with their sizes in bytes, by which they are packed into tasks
    """
    pickled, sizes = [], []
    for unit, size in units:
        pickled.append(pickle.dumps(unit))
        sizes.append(size)
    tasks = [[pickled[place] for place in places] for places in pack(sizes)]
    return _results(spark, tasks, work, stage)


def _results(
    spark: SparkSession,
    tasks: Sequence[Sequence[bytes]],
    work: Callable[[Any], object],
    stage: str,
) -> list[bytes]:
    """Return the results of all units, as JSON.

    tasks: the units of each task, pickled
    """
    if not tasks:
        return []
    rows = [pickle.dumps(units) for units in tasks]
    context = classic_context(spark)
    with stage_errors(stage):
        if context is not None:
            by_task = context.parallelize(rows, len(rows))
            return list(by_task.mapPartitions(partial(_do_rows, work)).collect())
        numbered = spark.createDataFrame(list(enumerate(rows)), "task int, units binary")
        # Every number is a partition of its own: as many ranges as there are numbers.
        by_task = numbered.repartitionByRange(len(rows), "task").select("units")
        done = by_task.mapInArrow(partial(_do_batches, work), "result binary").collect()
        return [bytes(row[0]) for row in done]


def _do_rows(work: Callable[[Any], object], rows: Iterable[bytes]) -> Iterator[bytes]:
    """Do the units of a task's rows one after another; runs on an executor."""
    keep_pandas_out()
    set_up_worker()
    for row in rows:
        for pickled in pickle.loads(row):
            unit = pickle.loads(pickled)
            with noted_unit(_name_of(unit)):
                result = msgspec.json.encode(work(unit))
            yield result


def _do_batches(
    work: Callable[[Any], object], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for result in _do_rows(work, batch.column(0).to_pylist()):
            yield pa.RecordBatch.from_pydict({"result": [result]}, _RESULT)


_RESULT = pa.schema([("result", pa.binary())])


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
    tasks: int | None = None,
) -> Iterator[TaskProgress]:
    """Name all Spark actions that this thread runs in the block, and report their progress.

    They have a job group and a description, over Spark Connect a tag. The thread's own group and
    description count again after the block. Spark Connect reports tasks since Spark 4: before, only
    start and end of the stage are reported.

    group: the name by which `cancel_jobs` can end these actions
    records: of all tasks, counted in `unit`; None if the number is not known yet
    tasks: of the step that reads these records; None for any step
    """
    progress = TaskProgress(stage, observe, unit, records, tasks)
    progress.begin()
    group = group or f"bedrock-spark-{stage}-{uuid.uuid4().hex[:8]}"
    context = classic_context(spark)
    if context is None:
        with _tagged(spark, group), reported_by_server(spark, observe, progress.note):
            yield progress
        progress.end()
        return
    with _grouped(context, group, _title(stage)):
        if observe is ignore_progress:
            yield progress
            return
        report = partial(_report, context.statusTracker(), group, progress)
        progress.refresh = report
        with run_periodically(f"watching the tasks of {stage}", report, lambda: _POLL_SECONDS):
            yield progress
        progress.end()


@contextmanager
def named_jobs(spark: SparkSession, stage: str) -> Iterator[None]:
    """Name all Spark actions that this thread runs in the block as `observed_tasks` does.

    For those before and after the ones that are observed, which are short, or of which Spark runs
    an unknown number: the schema of a file, the files of a table, a count.
    """
    group = f"bedrock-spark-{stage}-{uuid.uuid4().hex[:8]}"
    context = classic_context(spark)
    named = _tagged(spark, group) if context is None else _grouped(context, group, _title(stage))
    with named:
        yield


def _title(stage: str) -> str:
    """Return what Spark's UI shows as the description of a job."""
    return f"bedrock_spark {stage}"


@contextmanager
def _grouped(context: Any, group: str, description: str) -> Iterator[None]:
    """Put the jobs of this thread into a group; put back what the caller had."""
    before = {name: context.getLocalProperty(name) for name in _GROUP_PROPERTIES}
    context.setJobGroup(group, description, interruptOnCancel=True)
    try:
        yield
    finally:
        for name, value in before.items():
            context.setLocalProperty(name, value)


# What setJobGroup sets (org.apache.spark.SparkContext).
_GROUP_PROPERTIES = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")


@dataclass
class TaskProgress:
    """The progress of Spark tasks, in records.

    tasks: of the step that reads the records; None for any step
    shuffles: how many steps come before it
    refresh: calls `note` with the steps as they are now

    Spark tells which tasks have finished, not how many records they have read: records count as
    done in proportion to the finished tasks of the step that reads them. So the count never falls,
    and its total is fixed. The steps before it are told by the detail, one at a time.
    """

    stage: str
    observe: Observer
    unit: str = "records"
    records: int | None = None
    tasks: int | None = None
    shuffles: int = 0
    refresh: Callable[[], None] = lambda: None
    _seen: set[int] = field(default_factory=set)
    _earlier: frozenset[int] = frozenset()
    _done: int = 0

    def expect(self, records: int, tasks: int | None = None, shuffles: int = 0) -> None:
        """Set the number of records. They are read by the steps that begin from now on."""
        self.refresh()
        self.records, self.tasks, self.shuffles = records, tasks, shuffles
        self._earlier, self._done = frozenset(self._seen), 0
        self.begin()

    def begin(self) -> None:
        """Report that the stage has begun."""
        self.observe(self._at(0, ""))

    def note(self, steps: Sequence[Step]) -> None:
        """Report how far the newest step is. Spark forgets old ones."""
        if not steps:
            return
        newest = max(steps, key=lambda step: step.id)
        self._seen.update(step.id for step in steps)
        detail = (
            f"{newest.finished:,} of {newest.tasks:,} tasks of Spark in step {len(self._seen):,}"
        )
        if self.records is not None and self._reads_records(newest):
            done = self.records * newest.finished // newest.tasks
            self._done = max(self._done, min(done, self.records))
        self.observe(self._at(self._done, detail))

    def _reads_records(self, step: Step) -> bool:
        since = len(self._seen - self._earlier)
        is_own = step.id not in self._earlier and since > self.shuffles and step.tasks > 0
        return is_own and self.tasks in (None, step.tasks)

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
def _tagged(spark: SparkSession, tag: str) -> Iterator[None]:
    """Tag the actions of the block over Spark Connect, which has no job groups."""
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


def _report(tracker: Any, group: str, progress: TaskProgress) -> None:
    """Report the steps of all Spark jobs of a job group that have begun.

    Spark forgets old jobs and stages: their infos are None. A stage whose result is there already
    belongs to the job, too, and never begins. If Java does not answer, because it is being ended,
    nothing is reported: the action itself fails, and tells why.
    """
    try:
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
        infos = [tracker.getStageInfo(s) for job in jobs if job for s in job.stageIds]
    except (*SPARK_ERRORS, OSError) as exc:
        log.debug("the progress of Spark's tasks is not known: %s", type(exc).__name__)
        return
    progress.note(
        [
            Step(info.stageId, info.numCompletedTasks, info.numTasks)
            for info in infos
            if info is not None and info.numCompletedTasks + info.numActiveTasks
        ]
    )
