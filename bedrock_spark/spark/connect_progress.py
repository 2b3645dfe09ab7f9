"""The progress of Spark's tasks over Spark Connect, which has no status tracker.

The server sends it to the thread that waits for an action, since Spark 4:
https://spark.apache.org/docs/latest/api/python/reference/pyspark.sql/api/pyspark.sql.SparkSession.registerProgressHandler.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from bedrock_spark.progress import Observer, ignore_progress


@dataclass(frozen=True)
class Step:
    """A stage of Spark that has begun: its id, its tasks, and how many of them have finished."""

    id: int
    finished: int
    tasks: int


@contextmanager
def reported_by_server(
    spark: SparkSession, observe: Observer, note: Callable[[Sequence[Step]], None]
) -> Iterator[None]:
    """Note the steps of the actions that this thread runs over Spark Connect, every few seconds.

    Before Spark 4, and if nobody observes, nothing is noted.
    """
    if observe is ignore_progress or not hasattr(spark, "registerProgressHandler"):
        yield
        return
    session: Any = spark  # PySpark's type of a handler is a class, and it takes any function
    thread = threading.get_ident()

    def handle(stages: Iterable[Any] | None, done: bool, **_: Any) -> None:
        if threading.get_ident() == thread and not done:
            note(_begun(stages or ()))

    session.registerProgressHandler(handle)
    try:
        yield
    finally:
        session.removeProgressHandler(handle)


def _begun(stages: Iterable[Any]) -> list[Step]:
    """Return the steps that have begun, of the stages of an action as Spark Connect tells them.

    It tells those that are to come, too. Stages begin in the order of their ids.
    """
    steps: list[Step] = []
    for stage in sorted(stages, key=lambda stage: stage.stage_id):
        steps.append(Step(stage.stage_id, stage.num_completed_tasks, stage.num_tasks))
        if not stage.done:
            break
    return steps
