"""Run the stages of a config in order. Each is a run of its own, so it is carried on as any run.

A stage begins when the stage before has ended well: else it would pay for questions about answers
that a person should look at first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.chain.budget import last_report, spent, within_budget
from bedrock_spark.chain.report import StageReport, StagesReport
from bedrock_spark.check_stages import Stage, Stages
from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import BedrockSparkError, BudgetError
from bedrock_spark.outputs.outcomes import NOT_OK
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report import Report
from bedrock_spark.report.shortfall import shortfall_of
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder.stages_file import write_stage_names
from bedrock_spark.storage import Storage, open_storage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stop:
    """Why no stage begins after a stage.

    problem: what is wrong with its rows; None if it is not done
    """

    stage: str
    problem: str | None

    @property
    def text(self) -> str:
        """Return it as a sentence."""
        return f"stage {self.stage}: {self.problem or 'is not done, so no later stage begins'}"


@dataclass
class StageRuns:
    """The runs of a config with stages, of which some may be done.

    open_run: returns the pipeline of a config
    """

    stages: Stages
    open_run: Callable[[Config], Pipeline]
    reports: dict[str, Report] = field(default_factory=dict)
    pipelines: dict[str, Pipeline] = field(default_factory=dict)

    @property
    def storage(self) -> Storage:
        """Return the folder of the stages."""
        config = self.stages.stages[0].config
        settings = AwsSettings(config.batch.region, config.endpoint_url)
        return open_storage(self.stages.run_uri, settings)

    def run(self, work: Callable[[Stage, Pipeline], Report]) -> Stop | None:
        """Run every stage that is not done yet. Return why it ended early; None if all are well.

        work: runs one stage to its end, and returns its report
        Raises a BedrockSparkError of a stage; its message names the stage.
        """
        storage = self.storage
        write_stage_names(storage, self.stages.names)
        for stage in self.stages.stages:
            try:
                with self._named(stage):
                    pipeline = self.open_run(within_budget(self.stages, stage))
                    self.pipelines[stage.name] = pipeline
                    self.reports[stage.name] = work(stage, pipeline)
            finally:
                self._try_to_write(storage)
            stop = self._stop_after(stage)
            if stop is not None:
                return stop
        return None

    def _try_to_write(self, storage: Storage) -> None:
        """Write the report. That it cannot be written never hides the error of a stage."""
        try:
            self.report().write(storage)
        except BedrockSparkError as exc:
            log.warning("%s: report.json could not be written: %s", storage.uri, exc)

    def report(self) -> StagesReport:
        """Return the report of all stages, as far as they have begun."""
        found = [StageReport(stage.name, self._last(stage)) for stage in self.stages.stages]
        return StagesReport(self.stages.run_uri, found)

    def _last(self, stage: Stage) -> Mapping[str, Any] | None:
        report = self.reports.get(stage.name)
        return report.as_json() if report is not None else last_report(stage.config)

    def _spent(self) -> Decimal:
        return spent([report.as_json() for report in self.reports.values()])

    @contextmanager
    def _named(self, stage: Stage) -> Iterator[None]:
        """Name the stage in an error of the block, and what the stages before have cost."""
        try:
            yield
        except BedrockSparkError as exc:
            text = f"stage {stage.name}: {exc}"
            if isinstance(exc, BudgetError) and self.reports:
                before = ", ".join(self.reports)
                text += (
                    f". The budget of ${self.stages.max_cost:,} is that of all stages: {before} "
                    f"cost {dollars(self._spent())} of it"
                )
            exc.args = (text, *exc.args[1:])
            raise

    def _stop_after(self, stage: Stage) -> Stop | None:
        """Return why no stage begins after this one; None if the next one may.

        That rows are not answered is no reason if another stage asks them again.
        """
        report = self.reports[stage.name]
        if report.state != DONE:
            return Stop(stage.name, None)
        if any(self._reads_failures(other, stage) for other in self.stages.stages):
            return None
        problem = shortfall_of(report, self.pipelines[stage.name].run.config)
        return None if problem is None else Stop(stage.name, problem)

    def _reads_failures(self, other: Stage, stage: Stage) -> bool:
        """Tell whether another stage asks the rows that this one did not answer."""
        outcomes = other.config.source.outcomes
        return other.source == stage.name and bool({*NOT_OK}.intersection(outcomes or NOT_OK))
