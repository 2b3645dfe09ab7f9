"""What is repeated after the first collect, until each row has its last answer.

Output that comes late is collected; records are asked again by batch jobs, then by the fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bedrock_spark.clock import Clock
from bedrock_spark.config import Config
from bedrock_spark.fallback.rounds import Fallback
from bedrock_spark.fanout import StepResult
from bedrock_spark.fanout.late_output import seconds_to_await
from bedrock_spark.outputs.ask_again import ask_again_of
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, unanswered_rows
from bedrock_spark.progress import Observer, Progress
from bedrock_spark.report import Reporter
from bedrock_spark.report.findings import fallback_finding
from bedrock_spark.run_folder.fallback_end import note_fallback_ended
from bedrock_spark.run_folder.ledger import Job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Shards = Sequence[ReconciledShard]

# How often late output is looked for.
_LOOK_SECONDS = 60.0


def await_output(
    reconciled: Shards,
    collect: Callable[[], Shards],
    jobs: Callable[[], dict[str, Job]],
    observe: Observer,
    clock: Clock,
) -> Shards:
    """Collect again while answers are claimed that were not found, and may still come.

    collect: returns the reconciliation of every shard
    jobs: returns every batch job of the run, by name
    """
    while any(shard.unfound for shard in reconciled):
        seconds = seconds_to_await(jobs().values(), reconciled, clock.now())
        if seconds <= 0:
            break
        unfound = sum(shard.unfound for shard in reconciled)
        waits_for = f"{unfound:,} answers that batch jobs claim and have not written yet"
        observe(Progress("output", 0, None, f"waits for {waits_for}", waits_for=waits_for))
        clock.sleep(min(_LOOK_SECONDS, seconds))
        reconciled = collect()
    return reconciled


def repeat_by_batch(
    config: Config,
    reconciled: Shards,
    watch: Callable[[], StepResult | None],
    collect: Callable[[], Shards],
) -> Shards:
    """Repeat by batch: ask records again whose answers are not ok, if the config says so.

    Ends when no shard has enough such records for a job, or every record was asked as often as
    ask_again.py allows.

    watch: submits and watches batch jobs; returns None if no shard is large enough for one
    """
    for _ in range(ask_again_of(config).total):
        again = (shard.again_records for shard in reconciled)
        if max(again, default=0) < config.shards.min_records or watch() is None:
            break
        reconciled = collect()
    return reconciled


def ask_in_rounds(
    fallback: Fallback,
    spark: SparkSession,
    reconciled: Shards,
    collect: Callable[[], Shards],
    reporter: Reporter,
) -> Shards:
    """Ask the fallback and collect again, until it may not go on. Note why it ended."""
    while fallback.may_go_on(reconciled):
        with reporter.timed("fallback"):
            asked = fallback.ask(spark, reconciled)
        if not asked and not fallback.has_changed:
            break
        reconciled = collect()
    note_end_of(fallback, unanswered_rows(reconciled), reporter)
    return reconciled


def note_end_of(fallback: Fallback, unanswered: int, reporter: Reporter) -> None:
    """Note why the fallback asks no more, for the report and for later processes.

    unanswered: the number of rows that it leaves
    """
    if fallback.reason is not None:
        reporter.note(fallback_finding(fallback.reason, unanswered))
    if fallback.gave_up:
        run = fallback.run
        note_fallback_ended(run.storage, str(fallback.reason), fallback.clock.now())
