"""Publish the results if they are final. Only final ones replace what was published before.

They are final if no shard has a batch job or waits for one, and no stage may still answer a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedrock_spark.clock import Clock
from bedrock_spark.fanout import count_unsettled, deadline
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, unanswered_rows
from bedrock_spark.progress import Observer
from bedrock_spark.report import Ending, Report, Reporter
from bedrock_spark.report.findings import NOT_PUBLISHED, unpublished_finding
from bedrock_spark.report.values import DONE, UNFINISHED
from bedrock_spark.run_folder.fallback_end import has_fallback_ended
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait
from bedrock_spark.run_folder.ledger import LedgerState
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def why_not_final(
    run: Run,
    manifest: RunManifest,
    reconciled: Sequence[ReconciledShard],
    state: LedgerState,
    now: float,
    *,
    is_over: bool,
) -> str | None:
    """Return what the results still wait for, or None if they are final.

    state: of the ledger
    is_over: whether the fallback gave up, or may ask no more
    """
    unsettled = count_unsettled(run, manifest, state)
    if unsettled:
        shards = (
            "1 shard has an active batch job or waits"
            if unsettled == 1
            else (f"{unsettled:,} shards have active batch jobs or wait")
        )
        return f"{shards} for one: submit or run goes on with them"
    unanswered = unanswered_rows(reconciled)
    if not unanswered or is_over or has_fallback_ended(run.storage):
        return None
    config = run.config
    least = config.shards.min_records
    has_time = not deadline.is_over(config, run.begun_at, now)
    if has_time and any(s.again_records >= least for s in reconciled):
        return (
            "records whose answers are not ok will be asked again by batch jobs: submit or run "
            "goes on with them"
        )
    if config.fallback is not None:
        rows = "1 row" if unanswered == 1 else f"{unanswered:,} rows"
        return f"the fallback may still answer {rows}: fallback or run asks it"
    return None


@dataclass(frozen=True)
class Publication:
    """How the results of a run are published. What goes wrong is a PublishError.

    command_config: the config as it is named on the command line, for messages
    wait: for another process that publishes this run and may be dead
    """

    run: Run
    manifest: RunManifest
    clock: Clock
    observe: Observer
    command_config: str
    wait: LeaseWait = NO_WAIT

    def publish(self, spark: SparkSession) -> str | None:
        """Write the results to the place of the config; return it."""
        from bedrock_spark.spark.publish import publish
        from bedrock_spark.spark.publish_errors import publish_errors

        with publish_errors(self.run, self.command_config):
            return publish(spark, self.run, self.manifest, self.clock, self.observe, wait=self.wait)

    def published_at(self, spark: SparkSession) -> str | None:
        """Return the place of the results if it has them as they are now, in their final state."""
        from bedrock_spark.spark.publish import published_at

        return published_at(spark, self.run)

    def publish_partial(self, spark: SparkSession, partial: bool | str) -> str:
        """Write what there is to a path, or into the run folder; return where."""
        from bedrock_spark.spark.partial import publish_partial
        from bedrock_spark.spark.publish_errors import publish_errors

        path = partial if isinstance(partial, str) else None
        with publish_errors(self.run, self.command_config):
            return publish_partial(
                *(spark, self.run, self.manifest, self.clock, self.observe, path), wait=self.wait
            )


def write_final_report(
    run: Run, reporter: Reporter, wait: str | None, state: LedgerState
) -> Report:
    """Write the report of a run that was collected, and return it.

    wait: what the results still wait for, or None if they are final
    state: of the ledger
    """
    has_place = run.config.results.place is not None
    is_done = wait is None and (reporter.published is not None or not has_place)
    reporter.forget(NOT_PUBLISHED)
    if not is_done and has_place:
        reporter.note(unpublished_finding(wait or "the results are final; run collect"))
    stage = "report" if is_done else reporter.stage
    return reporter.write(run, Ending(DONE if is_done else UNFINISHED, stage), state)
