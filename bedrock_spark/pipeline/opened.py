"""What all stages of an open run share: the run, its reporter, and how a stage ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bedrock_spark.aws.clients import bedrock_client
from bedrock_spark.aws.provisioned import check_provisioned, is_provisioned
from bedrock_spark.check import check_config
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.fallback.rounds import Fallback
from bedrock_spark.fanout import check_reachable, check_targets
from bedrock_spark.monitoring import Monitor
from bedrock_spark.pipeline.spark_checks import SparkChecks
from bedrock_spark.planning.agreement import Agreement
from bedrock_spark.planning.drift import drift_findings
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.report import Reporter
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS, LeaseWait
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.manifest import RunManifest, refuse_other_run
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_models import RunModels


@dataclass
class OpenedRun:
    """An open run. If a stage fails or is interrupted, report.json says so, once it is begun.

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

    @property
    def _wait(self) -> LeaseWait:
        return LeaseWait(self.lease_wait, self.observe)

    def manifest(self) -> RunManifest:
        """Return the run manifest. Raises RunFolderError if prepare is not done."""
        # It never changes once it is committed, so one read is enough.
        manifest = self._reporter.manifest or self.run.manifest()
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
