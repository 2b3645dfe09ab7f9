"""What a page shows, as text, and which numbers of report.json it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "title", "svg")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "title", "svg")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def text_of(page: str) -> str:
    """Return the text of a page without its charts: their numbers must be in tables, too."""
    parser = _Text()
    parser.feed(page)
    return " ".join(" ".join(parser.parts).split())


def missing_numbers(report: Mapping[str, Any], text: str) -> list[tuple[str, Any]]:
    """Return the numbers of a report, other than 0, that a text does not have, with their paths.

    Whole numbers have commas, dollars four digits after the point, seconds two or none.
    """
    shown = set(re.findall(r"\d[\d,]*(?:\.\d+)?", text))
    return [
        (path, value)
        for path, value in _leaves(report, "")
        if value and not shown & {f"{value:,}", f"{value:,.2f}", f"{value:,.4f}", f"{value:,g}"}
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for name, own in value.items():
            if name == "bars":  # a row is shown as the number of its first slot
                per_row = value["slots_per_row"]
                own = [{**bar, "row": bar["row"] * per_row + 1} for bar in own]
            yield from _leaves(own, f"{path}.{name}")
    elif isinstance(value, list):
        for place, own in enumerate(value):
            yield from _leaves(own, f"{path}[{place}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
