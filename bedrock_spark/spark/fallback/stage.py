"""The fallback on Spark: ask unanswered records one by one, with online calls to a model.

Each task has some unanswered records of a few shards. It writes its answers every few seconds into
the shard's fallback folder, in Bedrock's own line format. So collect reads them like any other
output. If a task is killed, only its calls in flight and its last few answers are paid for again.
docs/fallback.md lists every case in which a record may be paid for twice.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from pyspark.sql import SparkSession

from bedrock_spark.aws.clients import model_client
from bedrock_spark.aws.errors import credentials_advice
from bedrock_spark.aws.model_refusals import with_advice
from bedrock_spark.aws.profiles import refusal_advice
from bedrock_spark.clock import SystemClock
from bedrock_spark.costs.call_use import total_use
from bedrock_spark.costs.tokens import max_answer_tokens
from bedrock_spark.errors import InvokeRefusedError, StorageError
from bedrock_spark.families import family_of
from bedrock_spark.invoke.shared_limit import RoundUse
from bedrock_spark.outputs.ask_again import ask_again_of
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.claims import close_round, open_round
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.fallback.parts import number_of_tasks, split_into_parts
from bedrock_spark.spark.fallback.round_progress import (
    CostOf,
    RoundProgress,
    no_cost,
    shown_progress,
)
from bedrock_spark.spark.fallback.round_result import Round, add_up, check_refusals
from bedrock_spark.spark.fallback.task import FallbackTask, TaskResult
from bedrock_spark.spark.tasks import observed_tasks, run_per_unit
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)


def ask_unanswered(
    spark: SparkSession,
    run: Run,
    prepare_id: str,
    counts: Mapping[str, int],
    model_id: str,
    most: int | None = None,
    until: float | None = None,
    observe: Observer = ignore_progress,
    digests: Mapping[str, str] | None = None,
    files: Mapping[str, tuple[int, ...]] | None = None,
    group: str | None = None,
    *,
    has_answered: bool = False,
    uses_flex: bool = False,
    cost: CostOf = no_cost,
) -> Round:
    """Ask unanswered records of collected shards, once each. Runs one Spark action.

    prepare_id: names the folder of the shards
    counts: the number of unanswered records, by shard
    most: the number of records in total, if not all may be asked
    until: no call starts after this time, in seconds since the epoch; None for no limit
    digests: of the lists of unanswered records, by shard
    files: the bytes of their files, by shard, of shards that have several
    group: the name by which `cancel_jobs` can end the action
    has_answered: whether the model has answered a record in an earlier round
    uses_flex: whether calls go to the flex tier while it serves in time
    cost: what the run has cost so far, for the progress
    Answers and errors of single records are in the run folder: collect again to see them. Raises
    InvokeRefusedError if the model would answer no record, and FallbackRefusedError if it refused
    many of them alike and answered none.
    """
    config = run.config.fallback
    if config is None:
        return Round()
    records = sum(counts.values()) if most is None else min(most, sum(counts.values()))
    groups = split_into_parts(counts, number_of_tasks(records, config), most, digests, files)
    if not groups:
        return Round()
    round_id = uuid.uuid4().hex[:12]
    again = ask_again_of(run.config)
    task = FallbackTask(
        run.storage,
        run.aws,
        config,
        model_id,
        family_of(run.config).name,
        max_answer_tokens(run.config.request),
        run.run_id,
        prepare_id,
        round_id,
        len(groups),
        until,
        has_answered,
        uses_flex,
        again.ceiling.path if again.ceiling is not None else (),
    )
    open_round(run.storage, round_id, SystemClock(), observe=observe)
    try:
        total = sum(parts.records for parts in groups)
        limit = run.config.budget.max_cost_usd
        progress = RoundProgress(total, config, observe, SystemClock(), cost, limit)
        with (
            shown_progress(progress, RoundUse(run.storage, round_id)),
            observed_tasks(spark, "fallback", ignore_progress, group),
        ):
            done = run_per_unit(spark, groups, task, TaskResult, "fallback")
        progress.end(total_use(result.use for result in done))
    except BaseException:
        _delete_tasks(run.storage, round_id)
        raise
    _close(run.storage, round_id)
    refused = next((result for result in done if result.refusal), None)
    if refused is not None and refused.refusal:
        advice = credentials_advice(refused.refusal_code)
        advice = advice or refusal_advice(refused.refusal, model_client(run.aws), model_id)
        advice = advice or "Check the id, its Region, and bedrock:InvokeModel on it"
        text = with_advice(refused.refusal, advice)
        raise InvokeRefusedError(f"fallback.model_id {config.model_id}: {text}")
    asked = add_up(done)
    if not has_answered:
        check_refusals(asked, config.model_id, run.storage.uri)
    return asked


def _close(storage: Storage, round_id: str) -> None:
    """Delete what the tasks of a round left. An error is only logged: the next round does it."""
    try:
        close_round(storage, round_id)
    except StorageError as exc:
        log.warning("deleting what the fallback's tasks left: %s", exc)


def _delete_tasks(storage: Storage, round_id: str) -> None:
    """Delete the objects of killed tasks. An error is only logged: leftovers do no harm."""
    try:
        storage.delete([stored.key for stored in storage.list(layout.tasks_prefix(round_id))])
    except StorageError as exc:
        log.warning("deleting the objects of the fallback's tasks: %s", exc)
