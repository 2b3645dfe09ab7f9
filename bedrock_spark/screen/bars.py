"""Progress as bars on a terminal, one for each stage."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from bedrock_spark.progress import Pace, Progress
from bedrock_spark.screen.text import counted, paced


class ProgressBars:
    """Shows the progress of stages as bars that count records, with rate and time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._pace = Pace()

    def observe(self, progress: Progress, now: float) -> None:
        """Show the progress of a stage at a time, in seconds since the epoch."""
        if self._bars is None:
            self._bars = Bars(
                SpinnerColumn(),
                TextColumn("{task.description:9}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._bars.start()
        if progress.stage != self._stage or self._task is None:
            self._end_bar()
            self._pace, self._stage = Pace(), progress.stage
            self._task = self._bars.add_task(progress.stage, total=None, count="")
        self._pace.add(progress.done, now)
        parts = (counted(progress), paced(progress, self._pace), progress.detail)
        self._bars.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            count=", ".join(filter(None, parts)),
        )

    def _end_bar(self) -> None:
        if self._bars is not None and self._task is not None:
            total = self._bars.tasks[self._task].total or 1
            self._bars.update(self._task, completed=total, total=total)
            self._bars.stop_task(self._task)

    def tick(self, now: float) -> None:
        """Do nothing: the bars show the time that has passed."""

    def say(self, text: str, now: float) -> None:
        """Print a line above the bars."""
        self._console.print(text, markup=False, soft_wrap=True)

    def finish(self, now: float) -> None:
        """Stop the bars; later output is printed below them."""
        if self._bars is not None:
            self._end_bar()
            self._bars.stop()
        self._bars, self._task, self._stage = None, None, None
