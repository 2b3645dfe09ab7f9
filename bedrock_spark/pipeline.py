"""The whole pipeline: look at the run folder, do what is left, in order.

Safe to repeat at any point. Each stage is committed by what it leaves in the folder: prepare by the
run manifest, a batch job by the ledger, collect by a shard's reconciliation, the fallback by its
answer lines.

Spark is imported by the stages that run on it: a machine that only drives the fan-out needs none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bedrock_spark.aws.clients import bedrock_client
from bedrock_spark.aws.provisioned import check_provisioned, is_provisioned
from bedrock_spark.canary import ask_canary, is_canary_due
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.costs.budget import open_budget
from bedrock_spark.errors import BudgetError, RunFolderError
from bedrock_spark.fallback.rounds import (
    Fallback,
    falling_back,
    give_back_leftovers,
    refuse_too_small,
    unanswered_rows,
)
from bedrock_spark.families.lint import refuse_lint
from bedrock_spark.fanout import (
    Controller,
    StepResult,
    batch_shards,
    check_reachable,
    check_targets,
    leased_controller,
    raise_refusal,
    requeue_invalid,
)
from bedrock_spark.fanout import watch as watch_jobs
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.report import (
    Report,
    build_report,
    check_complete,
    fallback_finding,
    write_report,
)
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest
from bedrock_spark.run_folder.run import Run, open_run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
from typing import TYPE_CHECKING

from bedrock_spark.config.load import AnyConfig, as_config


@dataclass
class Pipeline:
    """One run, open. Stages may be called one by one, in order, as often as wanted."""

    run: Run
    clock: Clock = field(default_factory=SystemClock)
    observe: Observer = unobserved
    seconds: dict[str, float] = field(default_factory=dict)
    _fallback: Fallback | None = None

    @classmethod
    def open(
        cls, config: AnyConfig, clock: Clock | None = None, observe: Observer = unobserved
    ) -> Pipeline:
        """Open the run at the config's run_uri, or begin it."""
        clock = clock or SystemClock()
        return cls(open_run(as_config(config), clock), clock, observe)

    def check(self) -> None:
        """Check what can be checked before anything is done: raises a BedrockSparkError."""
        refuse_lint(self.run.config)
        check_reachable(self.run)
        check_targets(self.run.config)
        fallback = self.run.config.fallback
        if fallback is not None and is_provisioned(fallback.model_id):
            client = bedrock_client(self.run.aws)
            check_provisioned(client, fallback.model_id, self.run.config.model, self.clock)

    def prepare(self, spark: SparkSession, df: DataFrame | None = None) -> RunManifest:
        """Cut the source, or the DataFrame handed in, into shards."""
        from bedrock_spark.spark.prepare.stage import prepare

        with self._timed("prepare"):
            manifest = prepare(spark, self.run, df, self.observe)
        refuse_too_small(self.run, manifest)
        return manifest

    def advance(self) -> StepResult:
        """Take one step of the fan-out. Needs no Spark.

        Raises JobRejectedError where the service refuses what is submitted; RunStoppedError where
        the run was stopped, or BudgetError where its budget is spent, and no job is active.
        """
        manifest = self.manifest()
        with self._driving(manifest) as controller:
            result = controller.advance()
            if controller.rejection is not None or not result.active:
                raise_refusal(controller, result)
                self._refuse_spent(result)
            return result

    def watch(self) -> StepResult | None:
        """Submit and watch batch jobs until every shard is settled. Needs no Spark.

        Shards with many answers that do not fit `results.parse`, as collect found, are asked again.
        """
        manifest = self.manifest()
        if not batch_shards(manifest, self.run.config):
            return None
        self.check()
        with self._driving(manifest) as controller:
            controller.resume()
            requeue_invalid(controller)
            result = watch_jobs(controller, self.observe)
        self._refuse_spent(result)
        return result

    @contextmanager
    def _driving(self, manifest: RunManifest) -> Iterator[Controller]:
        """Open the fan-out under the budget, once the canary has passed."""
        shards = batch_shards(manifest, self.run.config)
        is_due = bool(shards) and is_canary_due(self.run)
        limit = self.run.config.budget.max_cost_usd
        is_begun = bool(self.jobs()) if is_due or limit is not None else True
        if is_due and not is_begun:
            with self._timed("canary"):
                ask_canary(self.run, shards, self.clock, self.observe)
        budget = open_budget(self.run, shards)
        if budget is not None and not is_begun:
            budget.check_estimate(manifest)
        with (
            self._timed("batch"),
            leased_controller(self.run, manifest, self.clock, budget) as controller,
        ):
            if budget is not None:
                budget.jobs = lambda: controller.tracker.jobs
            yield controller

    def _refuse_spent(self, result: StepResult) -> None:
        """Raise BudgetError where the budget lets no more be submitted."""
        if not result.is_done and result.reason is not None:
            raise BudgetError(f"{self.run.storage.uri}: {result.reason}")

    def collect(self, spark: SparkSession) -> list[dict[str, Any]]:
        """Join what came back to the rows; return the reconciliation of every shard."""
        from bedrock_spark.spark.collect.stage import collect

        with self._timed("collect"):
            return collect(spark, self.run, self.manifest(), self.jobs(), self.observe)

    def _repeat_by_batch(
        self, spark: SparkSession, reconciled: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Ask records again by batch whose answers do not fit, while a shard has enough of them."""
        config = self.run.config
        for _ in range(config.results.parse.retries if config.results.parse else 0):
            invalid = (unit.get("invalid_unanswered", 0) for unit in reconciled)
            if max(invalid, default=0) < config.shards.min_records or self.watch() is None:
                break
            reconciled = self.collect(spark)
        return reconciled

    def fall_back(self, spark: SparkSession, reconciled: list[dict[str, Any]]) -> int:
        """Ask the stragglers of collected shards once; return how many were asked.

        Raises BudgetError where the budget does not do for one more.
        """
        with self._timed("fallback"), self._falling_back() as fallback:
            asked = fallback.ask(spark, reconciled)
        self._fallback = fallback
        if not asked:
            self._refuse_out_of_money()
        return asked

    def answer_unanswered(
        self, spark: SparkSession, reconciled: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Fall back and collect again, until rounds, money or time are used up or none is left.

        Returns the reconciliation as it is then.
        """
        if self.run.config.fallback is None or not unanswered_rows(reconciled):
            give_back_leftovers(self.run, self.clock)
            return reconciled
        with self._falling_back() as fallback:
            self._fallback = fallback
            while fallback.may_go_on(reconciled):
                with self._timed("fallback"):
                    asked = fallback.ask(spark, reconciled)
                if not asked:
                    break
                reconciled = self.collect(spark)
        return reconciled

    def _falling_back(self) -> AbstractContextManager[Fallback]:
        return falling_back(self.run, self.manifest(), self.clock, self.observe)

    def _refuse_out_of_money(self) -> None:
        if self._fallback is not None and self._fallback.out_of_money:
            raise BudgetError(f"{self.run.storage.uri}: {self._fallback.reason}")

    def results(self, spark: SparkSession) -> DataFrame:
        """Return one row per source row."""
        from bedrock_spark.spark.results import results

        return results(spark, self.run, self.manifest())

    def publish(
        self, spark: SparkSession, reconciled: list[dict[str, Any]] | None = None
    ) -> str | None:
        """Write the results where the config says; return where, or None.

        Rows are appended once. So where `reconciled` is given and says that the fallback has
        something to do yet, they are not appended, and None is returned.
        """
        from bedrock_spark.spark.publish import publish

        config = self.run.config
        waits = config.results.mode == "append" and config.fallback is not None
        if waits and any(unit["unanswered"] for unit in reconciled or ()):
            return None
        with self._timed("publish"):
            return publish(spark, self.run, self.manifest())

    def report(self, reconciled: list[dict[str, Any]], published: str | None = None) -> Report:
        """Write report.json and return it."""
        manifest = self.manifest()
        ledger = Ledger(self.run.storage).load()
        report = build_report(
            self.run,
            manifest,
            ledger.jobs,
            reconciled,
            self.seconds,
            published,
            read_tries(self.run.storage),
        )
        findings = [*report.findings, *ledger.all_findings()]
        if self._fallback is not None and self._fallback.reason is not None:
            findings.append(fallback_finding(self._fallback.reason, report.unanswered))
        report = replace(report, findings=findings)
        write_report(self.run, report)
        return report

    def run_all(self, spark: SparkSession, df: DataFrame | None = None) -> Report:
        """Do every stage that is left. Raises UnaccountedRowsError if the counts do not add up."""
        self.check()
        self.prepare(spark, df)
        self.watch()
        reconciled = self._repeat_by_batch(spark, self.collect(spark))
        reconciled = self.answer_unanswered(spark, reconciled)
        report = self.finish(spark, reconciled)
        check_complete(report)
        return report

    def finish(self, spark: SparkSession, reconciled: list[dict[str, Any]]) -> Report:
        """Publish what the fallback left, and write the report.

        Raises BudgetError where stragglers were left for want of money: then nothing is published
        yet, since the same command with a higher budget goes on.
        """
        waits = self._fallback is not None and self._fallback.out_of_money
        report = self.report(reconciled, None if waits else self.publish(spark))
        self._refuse_out_of_money()
        return report

    def manifest(self) -> RunManifest:
        """Return the run manifest. Raises RunFolderError while prepare is not done."""
        manifest = read_manifest(self.run.storage)
        if manifest is None:
            raise RunFolderError(f"{self.run.storage.uri}: has no run manifest; run prepare first")
        return manifest

    def jobs(self) -> dict[str, Job]:
        """Return every batch job of the run, as the ledger has it."""
        return Ledger(self.run.storage).replay()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            passed = time.monotonic() - begun
            self.seconds[stage] = self.seconds.get(stage, 0.0) + passed


def run(
    spark: SparkSession,
    df: DataFrame | None,
    config: AnyConfig,
    observe: Observer = unobserved,
) -> DataFrame:
    """Ask the model one question per row of `df`, or of the config's source where it is None.

    Returns one row per source row: the source columns kept, then record_id, outcome, text and the
    other result columns. Runs every stage that the run folder still lacks, and waits for the batch
    jobs: hours, as a rule. Raises a BedrockSparkError; whatever was paid for by then is kept, and
    the same call carries on from there.
    """
    pipeline = Pipeline.open(config, observe=observe)
    pipeline.run_all(spark, df)
    return pipeline.results(spark)
