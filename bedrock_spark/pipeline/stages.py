"""The stages of a run: each reads the run folder, and does what is not done yet.

Every stage is idempotent. Each is committed by an object that it writes into the run folder:
prepare by the run manifest, a batch job by the ledger, collect by the reconciliation of a shard,
the fallback by its answer lines.

Spark is imported only in the stages that run on it: a machine that only controls the batch jobs
does not need it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import bedrock_client
from bedrock_spark.aws.provisioned import check_provisioned, is_provisioned
from bedrock_spark.check import check_config
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.errors import BudgetError
from bedrock_spark.fallback.rounds import (
    Fallback,
    delete_leftover_throughput,
    open_fallback,
    refuse_too_small,
)
from bedrock_spark.families import converse_reason
from bedrock_spark.fanout import (
    Controller,
    StepResult,
    batch_shards,
    check_reachable,
    check_targets,
)
from bedrock_spark.fanout.cost_profiles import delete_cost_profiles
from bedrock_spark.monitoring import Monitor
from bedrock_spark.outputs.reconciled_shard import (
    ReconciledShard,
    unanswered_rows,
)
from bedrock_spark.pipeline.batch_jobs import take_step, watch_to_end
from bedrock_spark.pipeline.repeats import ask_in_rounds, await_output, repeat_by_batch
from bedrock_spark.pipeline.spark_checks import SparkChecks
from bedrock_spark.planning.agreement import Agreement
from bedrock_spark.planning.drift import drift_findings, new_drift_findings
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.publication import Publication, why_not_final, write_final_report
from bedrock_spark.report import Report, Reporter, check_complete
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS, NO_WAIT, LeaseWait
from bedrock_spark.run_folder.ledger import Job, Ledger, LedgerState
from bedrock_spark.run_folder.leftovers import delete_leftovers
from bedrock_spark.run_folder.manifest import RunManifest, refuse_other_run, require_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run, record_config
from bedrock_spark.run_models import RunModels
from bedrock_spark.storage import calls_at_once
from bedrock_spark.submission import open_submission, refuse_spent

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)

_CONVERSE_NOTICE = (
    "model.id: %s, so the records are Converse requests; model.family chooses another body"
)


@dataclass
class Pipeline:
    """One open run. Its stages can be called one by one, in order, and each as often as you like.

    If a stage fails or is interrupted, report.json says so, as soon as the run is begun.

    command_config: the config as it is named on the command line, for messages
    lease_wait: the most seconds to wait for the lease of another process that may be dead: a killed
        process of another machine cannot release it
    agreement: the plan that prepare must keep to; None if there is none
    failures_are_read: whether a later stage that is prepared asks the rows that are not ok. Then
        this run asks nothing more: they would be paid for twice
    keeps_published: whether results that are published and have not changed since are left alone: a
        later stage may have merged its rows into them
    """

    run: Run
    clock: Clock = field(default_factory=SystemClock)
    observe: Observer = ignore_progress
    command_config: str = "CONFIG"
    lease_wait: float = DEFAULT_SECONDS
    agreement: Agreement | None = None
    failures_are_read: bool = False
    keeps_published: bool = False
    _fallback: Fallback | None = None
    _is_linted: bool = False
    _reporter: Reporter = field(init=False)
    _models: RunModels = field(init=False)
    _checks: SparkChecks = field(init=False)

    def __post_init__(self) -> None:
        monitor = Monitor(lambda: self.run, self.clock)
        self.observe = monitor.observing(self.observe)
        self._reporter = Reporter(self.clock, look=drift_findings, on_end=monitor.end)
        self._models = RunModels(lambda: self.run, self.clock, self._reporter)
        self._checks = SparkChecks(lambda: self.run, self._reporter)

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

    def check(self) -> None:
        """Check the config before money is spent. Raises a BedrockSparkError.

        The request must follow the model's rules, the run folder must be in S3, the targets must
        fit together, no model may have ended, the account may use them all, and a provisioned
        fallback model must exist and be of the model's family.
        """
        self._reporter.stage = "check"
        self._lint()
        check_reachable(self.run)
        check_targets(self.run.config)
        self._models.check()
        fallback = self.run.config.fallback
        if fallback is not None and is_provisioned(fallback.model_id):
            client = bedrock_client(self.run.aws)
            check_provisioned(client, fallback.model_id, self.run.config.model, self.clock)

    def _lint(self) -> None:
        """Check the config, in which the service may have named the model's family. Once."""
        if not self._is_linted:
            check_config(self.run.config)
            self._is_linted = True

    def check_models(self) -> None:
        """Raise ModelUnavailableError if a model cannot be used and no job was created yet.

        Every stage that may pay does this by itself. It needs no Spark.
        """
        with self._command():
            self._models.check()

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
            self.check()
            with self._submission(self._wait) as controller:
                result = watch_to_end(self.run, controller, self.observe)
            refuse_spent(self.run, result)
        return result

    @property
    def _wait(self) -> LeaseWait:
        return LeaseWait(self.lease_wait, self.observe)

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

    def _is_appended(self, spark: SparkSession) -> bool:
        from bedrock_spark.spark.publish import is_appended

        return self.run.config.results.mode == "append" and is_appended(spark, self.run)

    def _refuse_out_of_money(self) -> None:
        """Raise BudgetError if the budget left records unanswered."""
        if self._fallback is not None and self._fallback.out_of_money:
            raise BudgetError(f"{self.run.storage.uri}: {self._fallback.reason}")

    def results(self, spark: SparkSession) -> DataFrame:
        """Return one row per source row: the kept source columns, then the result columns. Lazy."""
        from bedrock_spark.spark.results import results

        return results(spark, self.run, self.manifest())

    def publish(
        self,
        spark: SparkSession,
        reconciled: Sequence[ReconciledShard],
        partial: bool | str = False,
    ) -> str | None:
        """Write the results to the config's path or table; return it, or None if there is neither.

        Nothing is written while batch jobs are active or a stage may still answer rows of
        `reconciled`. Then None is returned, and the report says why. Raises PublishError if the
        results cannot be written.

        partial: publish what there is elsewhere, whether it is final or not: True for the folder
            `partial` of the run folder, or a path. Then None is returned, and the report says where
        """
        with self._command():
            reporter = self._reporter
            reporter.published = None
            publication = Publication(
                *(self.run, self.manifest(), self.clock, self.observe, self.command_config),
                wait=self._wait,
            )
            if partial:
                with reporter.timed("publish"):
                    reporter.partial = publication.publish_partial(spark, partial)
                    reporter.published = publication.published_at(spark)
                return None
            if self.run.config.results.place is None:
                return None
            if self.keeps_published:
                reporter.published = publication.published_at(spark)
                if reporter.published is not None:
                    return reporter.published
            is_appended, state = self._is_appended(spark), Ledger(self.run.storage).load()
            if self._why_not_final(reconciled, state, is_appended=is_appended) is None:
                with reporter.timed("publish"):
                    reporter.published = publication.publish(spark)
            return reporter.published

    def _why_not_final(
        self,
        reconciled: Sequence[ReconciledShard],
        state: LedgerState,
        *,
        is_appended: bool = False,
    ) -> str | None:
        has_ended = self._fallback is not None and self._fallback.gave_up
        is_over = has_ended or is_appended or self.failures_are_read
        now = self.clock.now()
        return why_not_final(self.run, self.manifest(), reconciled, state, now, is_over=is_over)

    def report(self, reconciled: Sequence[ReconciledShard], published: str | None = None) -> Report:
        """Write report.json and return it.

        published: the place where the results were published, if this process did not
        """
        reporter = self._reporter
        reporter.units, reporter.published = reconciled, published or reporter.published
        state = Ledger(self.run.storage).load()
        wait = None if reporter.published else self._why_not_final(reconciled, state)
        return write_final_report(self.run, reporter, wait, state)

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

    def finish(
        self,
        spark: SparkSession,
        reconciled: Sequence[ReconciledShard],
        partial: bool | str = False,
    ) -> Report:
        """Publish the results, write the report and return it.

        partial: see `publish`
        Raises BudgetError if the budget left records unanswered. Then nothing is published yet: the
        same command with a higher budget continues the run.
        """
        with self._command():
            out_of_money = self._fallback is not None and self._fallback.out_of_money
            if partial or not out_of_money:
                self.publish(spark, reconciled, partial)
            try:
                self._keep(spark, reconciled)
            except Exception as exc:
                # The report is due all the same, and so is what else ends the run.
                self.report(reconciled)
                if not out_of_money:
                    raise
                log.warning("%s: its answers could not be kept: %s", self.run.storage.uri, exc)
                self._refuse_out_of_money()
            report = self.report(reconciled)
            if report.state == DONE:
                delete_cost_profiles(self.run, self.clock)
            self._refuse_out_of_money()
        return report

    def _keep(self, spark: SparkSession, reconciled: Sequence[ReconciledShard]) -> None:
        """Add the answers to the store of answers, and to its copy, if the config has them."""
        answers = self.run.config.answers
        if answers is None or not answers.is_written:
            return
        from bedrock_spark.spark.keep.copy import copy_answers
        from bedrock_spark.spark.keep.stage import keep_answers

        with self._reporter.timed("keep"):
            keep_answers(spark, self.run, reconciled, self.observe)
            copy_answers(spark, self.run.config, self.run.aws, self.clock, self.observe)

    def manifest(self) -> RunManifest:
        """Return the run manifest. Raises RunFolderError if prepare is not done."""
        # It never changes once it is committed, so one read is enough.
        manifest = self._reporter.manifest or require_manifest(self.run.storage)
        self._reporter.manifest = manifest
        refuse_other_run(manifest, self.run.run_id, self.run.storage)
        return manifest

    def jobs(self) -> dict[str, Job]:
        """Return every batch job of the run in the ledger, by name."""
        return Ledger(self.run.storage).replay()

    @contextmanager
    def _command(self, *, reports_success: bool = False) -> Iterator[None]:
        """Report how the block ends: with an error always, else if `reports_success`.

        An error of Spark becomes one of this package. Without PySpark there is none.
        """
        with self._reporter.command(lambda: self.run, reports_success=reports_success):
            if sys.modules.get("pyspark") is None:
                yield
                return
            from bedrock_spark.spark.errors import stage_errors

            with stage_errors(lambda: self._reporter.stage):
                yield
