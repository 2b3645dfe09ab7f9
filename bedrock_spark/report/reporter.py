"""Write report.json when a command ends, however it ends: done, failed or interrupted.

A report that cannot be written never hides the error that ended the command.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.errors import RunCleanedError, RunHeldError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.report.build import write_report
from bedrock_spark.report.gather import Known, ending_of, gather_report, read_known
from bedrock_spark.report.values import Ending, Report
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import LedgerState
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, as_begun
from bedrock_spark.storage import calls_at_once

log = logging.getLogger(__name__)

# A process that is refused because another one works, or because the run was cleaned.
_REFUSED = RunHeldError, RunCleanedError


def _find_nothing(run: Run, known: Known, report: Report) -> list[dict[str, Any]]:
    """Find nothing more."""
    return []


def _tell_nobody(report: Report) -> None:
    """Tell nobody that a command has ended."""


@dataclass
class Reporter:
    """What a report needs to know of the process that writes it.

    stage: the one that runs, or ran last; seconds: the time that each stage took so far
    units: every reconciliation, as soon as this process has collected
    published, partial: where this process published the results
    models: what the service says of the run's models; None if this process did not ask
    manifest: the run manifest, as soon as this process has read it
    look: returns more findings of a report, by what the run folder says
    on_end: is called when a command ends, with its report, if it wrote one
    """

    clock: Clock
    stage: str = "check"
    seconds: dict[str, float] = field(default_factory=dict)
    units: Sequence[ReconciledShard] | None = None
    published: str | None = None
    partial: str | None = None
    models: list[dict[str, Any]] | None = None
    manifest: RunManifest | None = None
    look: Callable[[Run, Known, Report], list[dict[str, Any]]] = _find_nothing
    on_end: Callable[[Report], None] = _tell_nobody
    _notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _depth: int = 0
    _written: Report | None = None

    def note(self, finding: dict[str, Any]) -> None:
        """Add a finding to every report from now on. It replaces an earlier one of its kind."""
        self._notes[finding["kind"]] = finding

    def forget(self, kind: str) -> None:
        """Leave out a finding that was noted."""
        self._notes.pop(kind, None)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to the seconds of the stage."""
        self.stage = stage
        started = time.monotonic()
        try:
            yield
        finally:
            passed = time.monotonic() - started
            self.seconds[stage] = self.seconds.get(stage, 0.0) + passed

    @contextmanager
    def command(self, run: Callable[[], Run], *, reports_success: bool = False) -> Iterator[None]:
        """Write a report if the block ends with an error. Blocks inside it write none.

        run: returns the run as it is when the block ends
        reports_success: whether one is written in any case, unless the block wrote one
        """
        self._depth += 1
        if self._depth == 1:
            self._written = None
        try:
            yield
        except BaseException as exc:
            # A process that is refused does not overwrite the report of the one that works.
            if self._depth == 1 and not isinstance(exc, _REFUSED):
                self._try_to_write(run(), ending_of(exc, self.stage))
            raise
        else:
            if self._depth == 1 and reports_success and self._written is None:
                self._try_to_write(run(), Ending(stage=self.stage))
        finally:
            self._depth -= 1
            if self._depth == 0 and self._written is not None:
                self._tell_end(self._written)

    def write(self, run: Run, ending: Ending, state: LedgerState | None = None) -> Report:
        """Write report.json, and return the report.

        state: of the ledger, if the caller has read it
        """
        with_last = self.units is None or self.models is None
        known = read_known(run, self.manifest, state, with_last=with_last)
        report = gather_report(run, known, self.units, self.seconds, ending, self.clock.now())
        models = self.models
        if models is None:
            models = (known.last or {}).get("models", [])
        report = replace(report, models=models)
        if self.units is not None:
            report = replace(report, published=self.published, partial=self.partial)
        more = [*self._notes.values(), *self.look(run, known, report)]
        report = replace(report, findings=[*report.findings, *more])
        with calls_at_once(run.storage) as calls:
            calls.begin(_try_to_write_page, run, report)
            write_report(run, report)
        self._written = report
        return report

    def _tell_end(self, report: Report) -> None:
        try:
            self.on_end(report)
        except Exception as exc:  # noqa: BLE001 - nor are metrics and notifications
            log.warning("%s: how the command ended could not be told: %s", report.run_uri, exc)

    def _try_to_write(self, run: Run, ending: Ending) -> None:
        try:
            begun = as_begun(run)
            if begun is not None:
                self.write(begun, ending)
        except Exception as exc:  # noqa: BLE001 - the report is never more important than the run
            log.warning("%s: report.json could not be written: %s", run.storage.uri, exc)


def _try_to_write_page(run: Run, report: Report) -> None:
    """Write report.html beside report.json, which has all that it shows."""
    try:
        from bedrock_spark.page import render

        run.storage.write(layout.REPORT_PAGE, render(report.as_json()).encode())
    except Exception as exc:  # noqa: BLE001 - the page is never more important than the run
        log.warning("%s: report.html could not be written: %r", run.storage.uri, exc)
