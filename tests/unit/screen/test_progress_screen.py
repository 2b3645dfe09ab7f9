"""Where progress is shown: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from rich.console import Console

from bedrock_spark.progress import Counts, Progress
from bedrock_spark.screen import ProgressScreen, automatic_screen
from bedrock_spark.screen.bars import ProgressBars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeTicker:
    """Keeps the function that would be called every few seconds."""

    def __init__(self) -> None:
        self.tick: Callable[[], None] | None = None
        self.ended = 0

    def __call__(self, tick: Callable[[], None]) -> Callable[[], None]:
        self.tick = tick
        return self.end

    def end(self) -> None:
        self.ended += 1


def test_silence_is_broken_from_the_background() -> None:
    """A stage that only waits calls no observer."""
    stream, ticker, now = io.StringIO(), FakeTicker(), [0.0]
    screen = ProgressScreen(stream, now=lambda: now[0], ticker=ticker)
    screen.observe(Progress("batch", 0, 10, waits_for="the batch jobs"))
    assert ticker.tick is not None
    now[0] = 61.0
    ticker.tick()
    assert "waits for the batch jobs" in stream.getvalue().splitlines()[-1]
    screen.finish()
    assert ticker.ended == 1
    lines = stream.getvalue()
    ticker.tick()  # one that was under way
    assert stream.getvalue() == lines


def test_a_terminal_gets_bars_with_records_rate_and_time_left() -> None:
    """One bar a stage."""
    now = [0.0]
    stream = Terminal()
    screen = ProgressScreen(stream, now=lambda: now[0], ticker=FakeTicker())
    screen.observe(Progress("batch", 0, 1_000, "1 jobs active"))
    now[0] = 10.0
    screen.observe(Progress("batch", 100, 1_000, "1 jobs active"))
    screen.say("a note")
    screen.finish()
    shown = stream.getvalue()
    assert "100/1,000 records (10%), 10/s, 2 min left" in shown
    assert "a note" in shown


class NotebookShell:
    kernel = object()


@pytest.mark.parametrize(
    ("shell", "is_terminal", "wanted", "shown_on"),
    [
        (None, False, True, "stderr"),
        (None, False, False, None),
        (None, True, True, "stderr"),
        (None, True, False, None),
        (NotebookShell(), False, False, None),
        (SimpleNamespace(), False, True, "stderr"),  # IPython on a pipe: it has no kernel
    ],
)
def test_python_shows_progress_where_a_person_looks(
    monkeypatch: pytest.MonkeyPatch,
    shell: object,
    is_terminal: bool,
    wanted: bool,
    shown_on: str | None,
) -> None:
    """A notebook has bars of its own: test_notebook_bars.py. Nothing is written on stdout."""
    module = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)
    out, err = io.StringIO(), Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with automatic_screen(wanted) as observe:
        assert (observe is not None) == (shown_on is not None)
        if observe is not None:
            observe(Progress("collect", 5, 5))
    assert out.getvalue() == ""
    assert bool(err.getvalue()) == (shown_on == "stderr")


def test_slots_and_money_have_bars_of_their_own() -> None:
    """Only in the stage that has them. What it has cost stays to be read."""
    stream = Terminal()
    screen = ProgressScreen(stream, now=lambda: 0.0, ticker=FakeTicker())
    counts = Counts(slots_used=4, slots=20, cost_usd=1.25, budget_usd=5.0)
    screen.observe(Progress("batch", 100, 1_000, counts=counts))
    screen.observe(Progress("collect", 5, 10))
    screen.finish()
    shown = stream.getvalue()
    assert "4 of 20 slots used" in shown
    last = shown[shown.rindex("100/1,000") :]
    assert "$1.25 of $5.00 spent" in last
    assert "slots" not in last


@pytest.mark.parametrize(("done", "total", "share"), [(2, 100, 0.02), (9, 9, 1), (5, None, 1)])
def test_a_stage_that_ends_early_leaves_its_bar_as_it_was(
    done: int, total: int | None, share: float
) -> None:
    """A bar without a total moves no longer."""
    bars = ProgressBars(Console(file=io.StringIO()))
    bars.observe(Progress("prepare", done, total), 0.0)
    shown = bars._bars
    assert shown is not None
    bars.finish(1.0)
    (task,) = shown.tasks
    assert task.total
    assert task.completed / task.total == share
