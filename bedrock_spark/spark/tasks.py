"""Run a function once per unit of work, each in a task of its own, and return what they return.

`spark.range(0, n, 1, n)` makes one task per unit without a shuffle, on classic Spark and over Spark
Connect alike. A unit's result is one JSON value and must be small.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bedrock_spark.progress import Observer, Progress, unobserved
from bedrock_spark.run_folder.heartbeat import run_periodically

Unit = TypeVar("Unit")


def run_per_unit(
    spark: SparkSession, units: Sequence[Unit], work: Callable[[Unit], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the result of every unit, in no particular order. Runs one Spark action."""
    if not units:
        return []

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                result = json.dumps(work(units[index]), ensure_ascii=False)
                yield pa.RecordBatch.from_pydict({"result": [result]})

    count = len(units)
    rows = spark.range(0, count, 1, count).mapInArrow(task, "result string").collect()
    return [json.loads(row[0]) for row in rows]


_LOOK_SECONDS = 0.25


@contextmanager
def observed_tasks(spark: SparkSession, stage: str, observe: Observer) -> Iterator[None]:
    """Report the tasks of every action run in the block, in this thread."""
    observe(Progress(stage, 0, None))
    context = classic_context(spark)
    if context is None or observe is unobserved:
        yield
        return
    group = f"bedrock-spark-{stage}-{uuid.uuid4().hex[:8]}"
    context.setJobGroup(group, f"bedrock_spark {stage}")
    look = partial(_look, context.statusTracker(), group, stage, observe)
    try:
        with run_periodically(f"watching the tasks of {stage}", look, lambda: _LOOK_SECONDS):
            yield
            observe(Progress(stage, 1, 1))
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
        context.setLocalProperty("spark.job.description", None)


def classic_context(spark: SparkSession) -> Any:
    """Return the session's SparkContext, or None over Spark Connect, which has none."""
    try:
        return spark.sparkContext
    except (PySparkException, AttributeError, NotImplementedError):
        return None


def _look(tracker: Any, group: str, stage: str, observe: Observer) -> None:
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(s) for job in jobs if job for s in job.stageIds]
    known = [s for s in stages if s is not None]
    if known:
        finished = sum(s.numCompletedTasks for s in known)
        observe(Progress(stage, finished, sum(s.numTasks for s in known), "tasks"))
