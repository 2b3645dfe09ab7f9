"""Progress in a notebook: bars in one place of the cell, as HTML."""

from __future__ import annotations

import html
import re
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bedrock_spark.progress import Counts, Progress
from bedrock_spark.screen import automatic_screen
from bedrock_spark.screen.notebook_bars import NotebookBars, Show


class Places:
    """What each place of a notebook shows; `drawn` counts how often it was drawn."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.drawn = 0

    def new(self) -> Show:
        index = len(self.shown)
        self.shown.append(("", ""))

        def show(page: str, plain: str) -> None:
            self.shown[index] = page, plain
            self.drawn += 1

        return show


def shown_rows(page: str) -> list[str]:
    """Return the cells of each row as a reader sees them."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    return [
        " | ".join(
            text
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
            if (text := html.unescape(re.sub(r"<[^>]*>", "", cell)).strip())
        )
        for row in rows
    ]


def shares(page: str) -> list[str]:
    return re.findall(r"width:(\d+)%", page)


def test_each_stage_has_a_bar_with_count_rate_and_time_left() -> None:
    """Slots and money have their own; what the stage has cost stays to be read."""
    places = Places()
    bars = NotebookBars(places.new)
    bars.observe(Progress("prepare", 1_000, 1_000), 0.0)
    counts = Counts(shards=4, settled=1, slots_used=4, slots=20, cost_usd=1.25, budget_usd=5.0)
    batch = Progress("batch", 0, 1_000, "3 jobs active", counts=counts)
    bars.observe(batch, 1.0)
    bars.observe(replace(batch, done=100), 11.0)
    ((page, plain),) = places.shown
    assert shown_rows(page) == [
        "prepare | 1,000/1,000 records (100%) | 1 s",
        "batch | 100/1,000 records (10%); 10/s, 2 min left | 10 s",
        "shards | 3 jobs active",
        "slots | 4 of 20 slots used",
        "money | $1.25 of $5.00 spent",
    ]
    assert shares(page) == ["100", "10", "25", "20", "25"]
    assert plain.splitlines()[1] == "batch: 100/1,000 records (10%); 10/s, 2 min left"
    bars.finish(12.0)
    assert [row.split(" | ")[0] for row in shown_rows(places.shown[0][0])] == [
        *("prepare", "batch", "money"),
    ]


def test_the_text_has_the_colour_of_the_notebook() -> None:
    """No colour of its own but that of the bars: a theme may be light or dark."""
    places = Places()
    NotebookBars(places.new).observe(Progress("batch", 5, 10), 0.0)
    page = places.shown[0][0]
    colours = set(re.findall(r"(?:color|background):([^;\"]+)", page))
    assert colours == {"inherit", "none", "rgba(128,128,128,.3)", "#2f9e83"}


def test_every_text_is_escaped() -> None:
    """A detail may have the name of a model, or the message of a service."""
    places = Places()
    bars = NotebookBars(places.new)
    text = "<script>alert('x')</script> & \"more\""
    bars.observe(Progress(text, 0, 5, text, unit=text, waits_for=text), 0.0)
    bars.say(text, 1.0)
    bars.tick(100.0)
    page = places.shown[0][0]
    assert "<script" not in page
    assert page.count(html.escape(text, quote=False).split("(")[0]) == 6


def test_the_place_is_drawn_once_a_second_and_at_each_end() -> None:
    """Some notebooks draw the whole cell again. The last state is always shown."""
    places = Places()
    bars = NotebookBars(places.new)
    for done in range(1_000):
        bars.observe(Progress("collect", done, 1_000), done / 100)
    assert 9 <= places.drawn <= 12
    bars.observe(Progress("collect", 1_000, 1_000), 10.001)
    assert "1,000/1,000" in places.shown[0][0]
    assert len(places.shown) == 1


def test_silence_says_what_is_waited_for() -> None:
    """A wait must not look like a hang, and the time goes on."""
    places = Places()
    bars = NotebookBars(places.new)
    bars.observe(Progress("batch", 5, 10, waits_for="the batch jobs"), 0.0)
    bars.tick(125.0)
    assert shown_rows(places.shown[0][0]) == [
        "batch | 5/10 records (50%); no change for 2 min, waits for the batch jobs | 2 min"
    ]


def test_a_stage_that_comes_again_takes_its_bar_again() -> None:
    """The fallback and collect take turns: the list does not grow."""
    places = Places()
    bars = NotebookBars(places.new)
    for round_ in range(5):
        bars.observe(Progress("fallback", 3, 3), 10.0 * round_)
        bars.observe(Progress("collect", 0, None), 10.0 * round_ + 5)
    bars.finish(100.0)
    assert [row.split(" | ")[0] for row in shown_rows(places.shown[0][0])] == [
        *("fallback", "collect"),
    ]
    # An ended stage without a total moves no longer.
    assert shares(places.shown[0][0]) == ["100", "100"]


def test_a_screen_that_was_finished_begins_in_a_new_place() -> None:
    """That of the cell that runs then. A screen that showed nothing takes no place."""
    places = Places()
    bars = NotebookBars(places.new)
    bars.finish(0.0)
    bars.tick(1.0)
    assert places.shown == []
    for stage in ("prepare", "collect"):
        bars.observe(Progress(stage, 1, 1), 2.0)
        bars.finish(3.0)
    assert [len(shown_rows(page)) for page, _ in places.shown] == [1, 1]


def test_python_draws_bars_by_a_display_of_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is printed in a notebook: it would stay below the bars."""
    calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    class Handle:
        def update(self, content: dict[str, str], **named: Any) -> None:
            calls.append(("update", content, named))

    def display(content: dict[str, str], **named: Any) -> Handle:
        calls.append(("display", content, named))
        return Handle()

    shell = SimpleNamespace(kernel=object())
    ipython: Any = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))  # type: ignore[arg-type]
    with automatic_screen(True) as observe:
        assert observe is not None
        observe(Progress("collect", 0, 5))
        observe(Progress("collect", 5, 5))
    assert [(kind, named) for kind, _, named in calls] == [
        ("display", {"raw": True, "display_id": True}),
        ("update", {"raw": True}),
        ("update", {"raw": True}),
    ]
    assert all(content.keys() == {"text/html", "text/plain"} for _, content, _ in calls)
