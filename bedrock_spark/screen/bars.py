"""Progress as bars on a terminal, one for each stage; slots, limits, money … have their own."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from bedrock_spark.progress import Pace, Progress
from bedrock_spark.screen.text import MONEY, Part, counted, paced, parts_of

# The bar is narrower on a terminal of less than this, so that the numbers have room.
_WIDE = 100


class _OfStages(ProgressColumn):
    """A column that only the bars of stages have, not those of its parts."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        """Return what the column shows of a task."""
        return Text("") if task.fields.get("is_part") else self._column(task)


class ProgressBars:
    """Shows the progress of stages as bars that count records, with rate and time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._pace = Pace()
        self._total: int | None = None
        self._parts: dict[str, TaskID] = {}

    def observe(self, progress: Progress, now: float) -> None:
        """Show the progress of a stage at a time, in seconds since the epoch."""
        if self._bars is None:
            self._bars = Bars(
                _OfStages(SpinnerColumn()),
                TextColumn(
                    "{task.description:9}",
                    markup=False,
                    table_column=Column(no_wrap=True, min_width=9),
                ),
                BarColumn(bar_width=24 if self._console.width >= _WIDE else 10),
                TextColumn("{task.fields[count]}", markup=False),
                _OfStages(TimeElapsedColumn()),
                console=self._console,
            )
            self._bars.start()
        if progress.stage != self._stage or self._task is None:
            self._end_bar()
            self._pace, self._stage = Pace(), progress.stage
            self._task = self._bars.add_task(progress.stage, total=None, count="")
        self._pace.add(progress.done, now)
        self._total = progress.total
        numbers = [counted(progress), paced(progress, self._pace)]
        if progress.counts is None:
            numbers.append(progress.detail)
        self._show_parts(self._bars, parts_of(progress))
        self._bars.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            count=", ".join(filter(None, numbers)),
        )

    def _show_parts(self, bars: Bars, parts: Sequence[Part]) -> None:
        """Show what the stage has beside its records."""
        for part in parts:
            if part.name not in self._parts:
                self._parts[part.name] = bars.add_task(f"  {part.name}", count="", is_part=True)
            # Without a total the bar is empty: there is nothing to compare with.
            done, total = (part.done, part.total) if part.total else (0, 1)
            bars.update(self._parts[part.name], completed=done, total=total, count=part.text)

    def _end_bar(self) -> None:
        if self._bars is None:
            return
        for name, task in self._parts.items():
            if name != MONEY:  # what the stage has cost stays to be read
                self._bars.remove_task(task)
        self._parts = {}
        if self._task is not None:
            if not self._total:
                self._bars.update(self._task, completed=1, total=1)  # it moves no longer
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
