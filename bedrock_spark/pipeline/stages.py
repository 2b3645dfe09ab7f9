"""The stages of a run: each reads the run folder, and does what is not done yet.

Every stage is idempotent. Each is committed by an object that it writes into the run folder:
prepare by the run manifest, a batch job by the ledger, collect by the reconciliation of a shard,
the fallback by its answer lines.

Spark is imported only in the stages that run on it: a machine that only controls the batch jobs
does not need it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from bedrock_spark.check import check_config
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.fallback.rounds import (
    delete_leftover_throughput,
    open_fallback,
    refuse_too_small,
)
from bedrock_spark.families import converse_reason
from bedrock_spark.fanout import (
    Controller,
    StepResult,
    batch_shards,
    check_targets,
)
from bedrock_spark.outputs.reconciled_shard import (
    ReconciledShard,
    unanswered_rows,
)
from bedrock_spark.pipeline.batch_jobs import take_step, watch_to_end, without_more
from bedrock_spark.pipeline.finishing import Finishing
from bedrock_spark.pipeline.repeats import ask_in_rounds, await_output, repeat_by_batch
from bedrock_spark.planning.agreement import Agreement
from bedrock_spark.planning.drift import new_drift_findings
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.report import Report, check_complete
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS, NO_WAIT, LeaseWait
from bedrock_spark.run_folder.leftovers import delete_leftovers
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import (
    Run,
    begin_run,
    check_still_own,
    open_run,
    record_config,
)
from bedrock_spark.storage import calls_at_once
from bedrock_spark.submission import open_submission, refuse_spent

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)

_CONVERSE_NOTICE = (
    "model.id: %s, so the records are Converse requests; model.family chooses another body"
)


class Pipeline(Finishing):
    """One open run. Its stages can be called one by one, in order, and each as often as you like.

    Its arguments are those of `OpenedRun`.
    """

    @classmethod
    def open(
        cls,
        config: AnyConfig,
        clock: Clock | None = None,
        observe: Observer = ignore_progress,
        command_config: str = "CONFIG",
        lease_wait: float = DEFAULT_SECONDS,
        agreement: Agreement | None = None,
    ) -> Pipeline:
        """Check the config and open the run at its `run_uri`. Writes nothing: prepare begins it.

        Raises ConfigError that names every problem of the config, and OtherPlanError if the config
        or the prices are not those of the agreement.
        """
        clock = clock or SystemClock()
        checked = check_config(config)
        why = converse_reason(checked)
        if why is not None:
            log.warning(_CONVERSE_NOTICE, why)
        run = open_run(checked, clock)
        if agreement is not None:
            agreement.check_begin(run)
        return cls(run, clock, observe, command_config, lease_wait, agreement)

    def prepare(self, spark: SparkSession, df: DataFrame | None = None) -> RunManifest:
        """Cut `df`, or the config's source if `df` is None, into shards; return the manifest.

        Raises PlanError if records are left that neither a batch job nor the fallback may take, and
        OtherPlanError, before anything is committed, if there is an agreement on other shards.
        """
        from bedrock_spark.spark.prepare.stage import prepare

        with self._command(reports_success=True), self._reporter.timed("prepare"):
            self._lint()
            check_targets(self.run.config)
            self._models.check()
            self._checks.check_shared(spark)
            storage = self.run.storage
            with calls_at_once(storage) as calls:
                leftovers = calls.begin(delete_leftovers, [storage], self.clock)
                manifest = prepare(
                    *(spark, self.run, df, self.observe, self._note_begun),
                    *(self._approve, self.clock),
                )
            leftovers.result()
            self._reporter.manifest = manifest
            if not self.run.is_begun:
                self.run = begin_run(self.run)  # another process was first
            self._checks.note_change(spark, manifest, df)
            refuse_too_small(self.run, manifest)
        return manifest

    def _note_begun(self, run: Run) -> None:
        self.run = run

    def _approve(self, manifest: RunManifest) -> None:
        """Raise OtherPlanError if the shards are not those of the agreement."""
        if self.agreement is not None:
            self.agreement.check_manifest(self.run, manifest, self.clock.now())

    def advance(self) -> StepResult:
        """Take one step of the fan-out: list the jobs once, submit new ones. Needs no Spark.

        When all shards are settled, those with enough records that collect found to be asked again
        get one more job, as in `watch`: the next step submits it.
        It does not wait for the lease of another process: the next step comes anyway.
        Raises JobRejectedError if the service rejects a job. If no job is active, raises
        RunStoppedError if the run was stopped, JobsWithoutAnswersError if its jobs answer no
        record, NoSlotAtAllError if the account allows no job, BudgetError if its budget is spent.
        """
        self._reporter.look = new_drift_findings
        with self._command(reports_success=True):
            if self.failures_are_read:
                return without_more(self.run, self.manifest())
            self._models.check()
            with self._submission(NO_WAIT) as controller:
                return take_step(self.run, controller, self.observe)

    def watch(self) -> StepResult | None:
        """Submit and watch batch jobs until every shard is settled. Needs no Spark.

        A shard gets one extra job if collect found enough records in it that are asked again though
        they have an answer. Returns None if every shard is too small for a batch job.
        """
        with self._command(reports_success=True):
            if not batch_shards(self.manifest(), self.run.config):
                return None
            if self.failures_are_read:
                return without_more(self.run, self.manifest())
            self.check()
            with self._submission(self._wait) as controller:
                result = watch_to_end(self.run, controller, self.observe)
            refuse_spent(self.run, result)
        return result

    def _submission(self, wait: LeaseWait) -> AbstractContextManager[Controller]:
        return open_submission(
            self.run, self.manifest(), self.clock, self.observe, self._reporter, wait
        )

    def collect(self, spark: SparkSession) -> Sequence[ReconciledShard]:
        """Join the answers to the rows; return the reconciliation of every shard.

        Runs one Spark action. Shards whose inputs did not change are not read again.
        """
        from bedrock_spark.spark.collect.stage import collect

        with self._command(), self._reporter.timed("collect"):
            with calls_at_once(self.run.storage) as calls:
                jobs = calls.begin(self.jobs)
                manifest = self.manifest()
            self._checks.check_shared(spark)
            self._checks.note_change(spark, manifest)
            reconciled = collect(spark, self.run, manifest, jobs.result(), self.observe)
        self._reporter.units = reconciled
        return reconciled

    def fall_back(
        self, spark: SparkSession, reconciled: Sequence[ReconciledShard]
    ) -> Sequence[ReconciledShard]:
        """Ask the fallback model for the unanswered records and collect again, in rounds.

        Ends when no record is left, or when the rounds, the budget or the time are used up. Returns
        the last reconciliation of every shard. If the rows were appended to the place of the
        results, nothing is asked: more answers could not be appended again. Raises
        FallbackShareError, before a round asks anything, if batch jobs left more records than
        `fallback.max_share`.
        """
        has_work = self.run.config.fallback is not None and unanswered_rows(reconciled)
        with self._command():
            if not has_work or self.failures_are_read or self._is_appended(spark):
                delete_leftover_throughput(self.run, self.clock)
                return reconciled
            self._reporter.stage = "fallback"
            check_still_own(self.run)
            self._models.check_fallback()
            with open_fallback(
                self.run, self.manifest(), self.clock, self.observe, self._wait
            ) as fallback:
                self._fallback = fallback
                self.run = fallback.run = record_config(self.run, self.clock.now())
                return ask_in_rounds(
                    *(fallback, spark, reconciled),
                    collect=lambda: self.collect(spark),
                    reporter=self._reporter,
                )

    def run_all(self, spark: SparkSession, df: DataFrame | None = None) -> Report:
        """Run all stages that are not done yet, and return the report.

        Raises UnaccountedRowsError if the counts of rows do not add up, BudgetError if the budget
        left records unanswered, or another BedrockSparkError of a stage.
        """

        def collect() -> Sequence[ReconciledShard]:
            return self.collect(spark)

        with self._command():
            self.check()
            self.prepare(spark, df)
            if not self.failures_are_read:
                self.watch()
            reconciled = await_output(collect(), collect, self.jobs, self.observe, self.clock)
            if not self.failures_are_read:
                reconciled = repeat_by_batch(self.run.config, reconciled, self.watch, collect)
            reconciled = self.fall_back(spark, reconciled)
            report = self.finish(spark, reconciled)
            check_complete(report)
        return report
