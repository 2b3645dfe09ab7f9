"""Run several small Spark actions at once: one alone leaves cores idle.

Over Spark Connect they run one after another: its client keeps the tags of jobs in each thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from pyspark.sql import SparkSession

from bedrock_spark.spark.tasks import cancel_jobs, classic_context

_GROUP = "spark.jobGroup.id"

P = ParamSpec("P")
T = TypeVar("T")


class Actions:
    """Begins actions. `result` of what `begin` returns waits for one, and raises its error.

    context: the SparkContext, whose local properties (job group, description, pool) the actions
        have as the thread that begins them; None: they run here and now
    begun: all actions so far
    """

    def __init__(self, context: Any) -> None:
        self.begun: list[Future[Any]] = []
        self._context = context

    def begin(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin an action in a thread of its own."""
        begun: Future[T] = Future()
        self.begun.append(begun)
        java = None if self._context is None else self._context._jsc.sc()
        properties = None if java is None else java.getLocalProperties().clone()

        def run() -> None:
            try:
                if java is not None:
                    java.setLocalProperties(properties)
                begun.set_result(action(*args, **kwargs))
            except BaseException as exc:  # noqa: BLE001 - `result` raises it
                begun.set_exception(exc)

        if java is None:
            run()
        else:
            # A daemon: Python does not wait for it if it ends while Spark is at work.
            threading.Thread(target=run, name="spark-action", daemon=True).start()
        return begun


@contextmanager
def actions_at_once(spark: SparkSession) -> Iterator[Actions]:
    """Provide a way to begin actions; all are over when the block ends, also if it fails.

    After an interrupt, they are not waited for: the jobs of their group are ended.
    """
    context = classic_context(spark)
    actions = Actions(context)
    try:
        yield actions
    except Exception:
        wait(actions.begun)
        raise
    except BaseException:
        group = None if context is None else context.getLocalProperty(_GROUP)
        if group is not None:
            cancel_jobs(spark, group)
        raise
    wait(actions.begun)
