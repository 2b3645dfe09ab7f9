"""Fall back: ask the stragglers once more, one by one, of a model that answers at once.

A task takes some stragglers of a few shards. Answers are written every few records in Bedrock's own
line format below the shard's fallback folder, so a task that is killed pays again only for what it
had in flight, and collect reads them like any other output.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import SparkSession

from bedrock_spark.costs.tokens import longest_answer
from bedrock_spark.errors import InvokeRefusedError, StorageError
from bedrock_spark.families import family_of
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.fallback.parts import split_into_parts
from bedrock_spark.spark.fallback.task import FallbackTask
from bedrock_spark.spark.tasks import classic_context, observed_tasks, run_per_unit
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# Spark Connect does not tell how many tasks run at once.
_DEFAULT_TASKS = 8


@dataclass(frozen=True)
class Asked:
    """What a round came to: records that were asked, and how often the service said 429."""

    records: int = 0
    throttled: int = 0


def ask_unanswered(
    spark: SparkSession,
    run: Run,
    counts: Mapping[str, int],
    model_id: str,
    most: int | None = None,
    until: float | None = None,
    observe: Observer = unobserved,
) -> Asked:
    """Ask the stragglers of collected shards, so many of each, once.

    Runs one Spark action. Raises InvokeRefusedError when the model would answer none. What single
    records get, answers or errors, is in the run folder; collect again to see it.

    most: records in all, where not all may be asked; until: a time after which none is begun
    """
    config = run.config.fallback
    groups = split_into_parts(counts, _parallelism(spark), most)
    if config is None or not groups:
        return Asked()
    round_id = uuid.uuid4().hex[:12]
    task = FallbackTask(
        run.storage,
        run.aws,
        config,
        model_id,
        family_of(run.config.model).name,
        longest_answer(run.config.request),
        round_id,
        len(groups),
        until,
    )
    try:
        with observed_tasks(spark, "fallback", observe):
            done = run_per_unit(spark, groups, task)
    finally:
        _forget_tasks(run.storage, round_id)
    refused = [d["refused"] for d in done if d["refused"]]
    if refused:
        raise InvokeRefusedError(
            f"fallback.model_id {config.model_id}: {refused[0]} "
            "Check the id, its Region, and bedrock:InvokeModel on it"
        )
    return Asked(sum(d["asked"] for d in done), sum(d["throttled"] for d in done))


def _forget_tasks(storage: Storage, round_id: str) -> None:
    """Delete what tasks that were killed left; where that fails it is only untidy."""
    try:
        storage.delete([found.key for found in storage.list(layout.tasks_prefix(round_id))])
    except StorageError as exc:
        log.warning("deleting what tasks of the fallback left: %s", exc)


def _parallelism(spark: SparkSession) -> int:
    context = classic_context(spark)
    return max(1, int(context.defaultParallelism)) if context is not None else _DEFAULT_TASKS
