"""The end of a run: publish the results if they are final, and write the report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bedrock_spark.errors import BudgetError
from bedrock_spark.fanout.cost_profiles import delete_cost_profiles
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.pipeline.opened import OpenedRun
from bedrock_spark.publication import Publication, why_not_final, write_final_report
from bedrock_spark.report import Report
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder.ledger import Ledger, LedgerState

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)


class Finishing(OpenedRun):
    """The stages after the last answer. Each may be called as often as you like."""

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
        from bedrock_spark.answers.after_run import compact_after_run
        from bedrock_spark.spark.keep.copy import copy_answers
        from bedrock_spark.spark.keep.stage import keep_answers

        with self._reporter.timed("keep"):
            keep_answers(spark, self.run, reconciled, self.observe)
            copy_answers(spark, self.run.config, self.run.aws, self.clock, self.observe)
            if answers.compact == "auto":
                compact_after_run(answers.uri, self.run.aws, self.clock)
