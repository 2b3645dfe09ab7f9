"""Publish the results if they are final. Only final ones replace what was published before.

They are final if no shard has a batch job or waits for one, and no stage may still answer a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedrock_spark.clock import Clock
from bedrock_spark.fanout.why_open import Known, why_open
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.progress import Observer
from bedrock_spark.report import Ending, Report, Reporter
from bedrock_spark.report.findings import NOT_PUBLISHED, unpublished_finding
from bedrock_spark.report.values import DONE, UNFINISHED
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
    known = Known(run.config, run.begun_at, run.storage, manifest, state)
    found = why_open(known, reconciled, now, is_over=is_over)
    return None if found is None else f"{found.why}: {found.advice}"


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
