"""Tell an observer how many tasks of a stage are done, while Spark works.

Reads Spark's status tracker from a thread beside the action. Spark Connect has no such tracker;
there the stage is shown as begun, without a count.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bedrock_spark.progress import Observer, Progress, unobserved
from bedrock_spark.repeating import repeating

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
        with repeating(f"watching the tasks of {stage}", look, lambda: _LOOK_SECONDS):
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
