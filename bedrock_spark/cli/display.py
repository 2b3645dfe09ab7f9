"""The output of a command: one line per stage while it runs, then the numbers of the report.

On a terminal the line is a progress bar. In a log it is printed again if it has changed, at most
every two seconds; the last line of a stage is always printed.
"""

from __future__ import annotations

import time
from decimal import Decimal

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bedrock_spark.costs.tokens import dollars
from bedrock_spark.progress import Progress as StageProgress
from bedrock_spark.report import Report

_LOG_SECONDS = 2.0
_FINDINGS_SHOWN = 10


class Display:
    """The console of one command."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._stage: str | None = None
        self._printed_at = 0.0
        self._last: StageProgress | None = None

    def observe(self, progress: StageProgress) -> None:
        """Show the progress of a stage."""
        if self.console.is_terminal:
            self._show_bar(progress)
        else:
            self._print_line(progress)
        self._stage, self._last = progress.stage, progress

    def _show_bar(self, progress: StageProgress) -> None:
        if self._bars is None:
            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:9}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                console=self.console,
            )
            self._bars.start()
        if progress.stage != self._stage:
            self._end_bar(self._stage)
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=None, count="")
        task = self._tasks[progress.stage]
        self._bars.update(
            task, completed=progress.done, total=progress.total, count=_count(progress)
        )

    def _end_bar(self, stage: str | None) -> None:
        if self._bars is not None and stage is not None:
            task = self._tasks[stage]
            total = self._bars.tasks[task].total or 1
            self._bars.update(task, completed=total, total=total)
            self._bars.stop_task(task)

    def _print_line(self, progress: StageProgress) -> None:
        now = time.monotonic()
        is_new = progress.stage != self._stage
        is_last = progress.total is not None and progress.done == progress.total
        is_due = now - self._printed_at >= _LOG_SECONDS
        has_news = progress.total is not None and progress != self._last
        if has_news and (is_new or is_last or is_due):
            self.console.print(f"{progress.stage:9} {_count(progress)}".rstrip(), soft_wrap=True)
            self._printed_at = now

    def finish(self) -> None:
        """Stop the progress bars; later output is printed below them."""
        if self._bars is not None:
            self._end_bar(self._stage)
            self._bars.stop()
            self._bars = None

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def show_error(self, text: str) -> None:
        """Print an error to stderr."""
        Console(stderr=True, highlight=False).print(
            f"error: {text}", style="red", markup=False, soft_wrap=True
        )

    def show_report(self, report: Report) -> None:
        """Print the numbers of a run and its first findings."""
        self.say("")
        for name, value in _report_rows(report):
            self.say(f"{name:17} {value}")
        for finding in report.findings[:_FINDINGS_SHOWN]:
            self.say(f"{'finding':17} {finding['kind']} {finding['shard_id']}: {finding['detail']}")
        if len(report.findings) > _FINDINGS_SHOWN:
            more = len(report.findings) - _FINDINGS_SHOWN
            self.say(f"{'':17} and {more:,} more in report.json")


def _count(progress: StageProgress) -> str:
    if progress.total is None:
        return progress.detail
    if not progress.detail:
        return "done" if progress.done == progress.total else ""
    return f"{progress.done:,}/{progress.total:,} {progress.detail}".rstrip()


def _canary_row(canary: dict[str, int] | None) -> list[tuple[str, str]]:
    if canary is None:
        return []
    return [("canary", f"{canary['answered']:,} of {canary['asked']:,} answered")]


def _cost_row(cost: dict[str, float] | None) -> list[tuple[str, str]]:
    if cost is None:
        return []
    parts = ", ".join(f"{_dollars(cost[name])} {name}" for name in cost if name != "total")
    return [("cost", f"{_dollars(cost['total'])}: {parts}")]


def _dollars(amount: float) -> str:
    return dollars(Decimal(str(amount)))


def _report_rows(report: Report) -> list[tuple[str, str]]:
    outcomes = report.outcomes
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in report.seconds.items())
    jobs = ", ".join(f"{count} {status}" for status, count in report.jobs.items()) or "none"
    rows = [
        ("run", report.run_id),
        ("rows in", f"{report.rows:,}"),
        ("ok by batch", f"{report.served_by['batch']:,}"),
        ("ok by fallback", f"{report.served_by['fallback']:,}"),
        ("permanent errors", f"{report.permanent_errors:,}"),
        ("still unanswered", f"{report.unanswered:,}"),
        ("rejected", f"{outcomes['rejected']:,}"),
        ("shards", f"{report.shards:,}"),
        *_canary_row(report.canary),
        ("jobs", jobs),
        ("tokens", f"{report.tokens['input']:,} in, {report.tokens['output']:,} out"),
        *_cost_row(report.cost),
        ("seconds", seconds),
        ("run folder", report.run_uri),
    ]
    if outcomes.get("invalid"):
        rows.insert(4, ("invalid answers", f"{outcomes['invalid']:,}"))
    if report.unfound:
        rows.insert(6, ("answers not found", f"{report.unfound:,}"))
    if report.sharing:
        share = report.sharing / (report.records + report.sharing)
        saved = f"{report.sharing:,} rows ({share:.0%}) share the answer of another row"
        rows.insert(2, ("saved by dedupe", saved))
    if report.published is not None:
        rows.append(("results", report.published))
    return rows
