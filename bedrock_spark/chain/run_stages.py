"""Run the stages of a config in order. Each is a run of its own, so it is carried on as any run.

A stage begins when the stage before has ended well: else it would pay for questions about answers
that a person should look at first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bedrock_spark.chain.budget import costs_of_others, folder_of, last_report, within_budget
from bedrock_spark.chain.report import StageReport, StagesReport
from bedrock_spark.check_stages import Stage, Stages, check_stages
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig, ConfigFile
from bedrock_spark.config.overlaps import named_results
from bedrock_spark.config.places import Relation
from bedrock_spark.config_file import open_config
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import BedrockSparkError, BudgetError
from bedrock_spark.outputs.outcomes import NOT_OK
from bedrock_spark.outputs.row_limits import RowCounts, shortfall
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report import Report
from bedrock_spark.report.shortfall import shortfall_of
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import read_cleaned
from bedrock_spark.run_folder.same_run import is_fixed
from bedrock_spark.run_folder.stages_file import STAGES_FILE, read_stage_names, write_stage_names
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stop:
    """Why no stage begins after a stage.

    problem: what is wrong with its rows; None if it is not done
    is_last: whether there is no later stage
    """

    stage: str
    problem: str | None
    is_last: bool = False

    @property
    def text(self) -> str:
        """Return it as a sentence."""
        is_open = "is not done" if self.is_last else "is not done, so no later stage begins"
        return f"stage {self.stage}: {self.problem or is_open}"


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
        return folder_of(self.stages.stages[0].config, self.stages.run_uri)

    def run(self, work: Callable[[Stage, Pipeline], Report]) -> Stop | None:
        """Run every stage that is not done yet. Return why it ended early; None if all are well.

        work: runs one stage to its end, and returns its report
        Raises a BedrockSparkError of a stage; its message names the stage.
        """
        storage = self.storage
        is_known = read_stage_names(storage) is not None
        write_stage_names(storage, self.stages.names)
        for stage in self.stages.stages:
            if self._is_over(stage):
                continue
            try:
                with self._named(stage):
                    pipeline = self.open_run(within_budget(self.stages, stage))
                    leave_to_later_stages(pipeline, self.stages, stage)
                    self.pipelines[stage.name] = pipeline
                    self.reports[stage.name] = work(stage, pipeline)
            finally:
                if is_known or self._is_begun():
                    self._try_to_write(storage)
                else:
                    _try_to_forget(storage)
            stop = self._stop_after(stage)
            if stop is not None:
                return stop
        return None

    def _is_over(self, stage: Stage) -> bool:
        """Tell whether an early stage was cleaned once it was done: nothing is left to do in it.

        The last stage is that of which the caller wants the rows.
        """
        if stage is self.stages.stages[-1] or read_cleaned(folder_of(stage.config)) is None:
            return False
        last = last_report(stage.config)
        if last is None or last["state"] != DONE:
            return False
        is_asked_again = any(_reads_failures(other, stage) for other in self.stages.stages)
        counts = RowCounts(last["rows"], last["outcomes"], last["unanswered"])
        return is_asked_again or shortfall(counts, stage.config) is None

    def _is_begun(self) -> bool:
        """Tell whether the run of a stage is begun."""
        folders = (folder_of(stage.config) for stage in self.stages.stages)
        return any(folder.read_if_present(layout.RUN_FILE) is not None for folder in folders)

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

    def _spent_by_others(self, stage: Stage) -> str:
        """Return what the other stages have cost of the budget, as the end of a sentence."""
        if self.stages.max_cost is None:
            return ""
        costs = {name: cost for name, cost in costs_of_others(self.stages, stage).items() if cost}
        if not costs:
            return ""
        return (
            f". The budget of ${self.stages.max_cost:,} is that of all stages: {', '.join(costs)} "
            f"cost {dollars(sum(costs.values(), Decimal()))} of it"
        )

    @contextmanager
    def _named(self, stage: Stage) -> Iterator[None]:
        """Name the stage in an error of the block; in one of the budget, what the others cost."""
        try:
            yield
        except BedrockSparkError as exc:
            text = f"stage {stage.name}: {exc}"
            if isinstance(exc, BudgetError):
                text += self._spent_by_others(stage)
            exc.args = (text, *exc.args[1:])
            raise

    def _stop_after(self, stage: Stage) -> Stop | None:
        """Return why no stage begins after this one; None if the next one may.

        That rows are not answered is no reason if another stage asks them again.
        """
        report = self.reports[stage.name]
        if report.state != DONE:
            return Stop(stage.name, None, is_last=stage is self.stages.stages[-1])
        if any(_reads_failures(other, stage) for other in self.stages.stages):
            return None
        problem = shortfall_of(report, self.pipelines[stage.name].run.config)
        return None if problem is None else Stop(stage.name, problem)


def _try_to_forget(storage: Storage) -> None:
    """Delete the names of stages none of which is begun: what is refused leaves nothing behind."""
    try:
        storage.delete([STAGES_FILE])
    except BedrockSparkError as exc:
        log.warning("%s: %s could not be deleted: %s", storage.uri, STAGES_FILE, exc)


def leave_to_later_stages(pipeline: Pipeline, stages: Stages, stage: Stage) -> None:
    """Let the run of a stage leave alone what later stages have built upon it."""
    place = stages.names.index(stage.name)
    before = stages.stages[:place]
    later = [s for s in stages.stages[place + 1 :] if is_fixed(folder_of(s.config))]
    pipeline.failures_are_read = any(_reads_failures(other, stage) for other in later)
    # One that merges merges again: a process that was killed may have written over its rows.
    is_first = not any(_share_a_place(stage, other) for other in before)
    pipeline.keeps_published = is_first and any(_share_a_place(stage, s) for s in later)


def leave_to_others(pipeline: Pipeline, config: AnyConfig, overrides: Iterable[str] = ()) -> None:
    """Do so if a config names one of its stages, as in `contracts.yaml#extract`."""
    opened = open_config(config)
    if not isinstance(opened, ConfigFile) or opened.stage is None:
        return
    stages = check_stages(opened.whole, overrides)
    if stages is not None:
        stage = next(stage for stage in stages.stages if stage.name == opened.stage)
        leave_to_later_stages(pipeline, stages, stage)


def _reads_failures(other: Stage, stage: Stage) -> bool:
    """Tell whether another stage asks the rows that this one did not answer."""
    outcomes = other.config.source.outcomes
    return other.source == stage.name and bool({*NOT_OK}.intersection(outcomes or NOT_OK))


def _share_a_place(stage: Stage, other: Stage) -> bool:
    """Tell whether two stages publish to one place."""
    mine, theirs = named_results(stage.config.results), named_results(other.config.results)
    if mine is None or theirs is None:
        return False
    return mine.place.relation(theirs.place) is Relation.EQUAL
