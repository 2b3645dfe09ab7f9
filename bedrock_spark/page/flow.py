"""Rows and their outcomes as a flow, as a Sankey diagram (https://en.wikipedia.org/wiki/Sankey_diagram).

Three columns: the rows, what was asked of them, how they ended. It is laid out here, because the
chart libraries that have such a diagram would make the page larger than all else on it together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.page.words import OUTCOMES, number

_NODE, _GAP, _LABEL, _LEAST = 9.0, 10.0, 19.0, 1.5
_HEIGHT = 190.0


@dataclass(frozen=True)
class Node:
    """A rectangle. x, y: of its upper left corner; color: its class in the style sheet."""

    label: str
    rows: str
    color: str
    x: float
    y: float
    width: float
    height: float


_KEPT = "ok, kept"


@dataclass(frozen=True)
class Link:
    """A band from one node to another, as the path of its outline."""

    path: str
    color: str


@dataclass(frozen=True)
class Flow:
    """The diagram, in the units of its view box."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


def ends_of(report: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Return how the rows ended, with the number of rows and the color; they add up to the rows."""
    served, outcomes = report["served_by"], report["outcomes"]
    ok = outcomes["ok"]
    by_batch, by_fallback = served.get("batch", 0), served.get("fallback", 0)
    kept = served.get("kept", 0)
    ends = [
        ("ok by batch", by_batch, "ok"),
        ("ok by fallback", by_fallback, "some"),
        (_KEPT, kept, "ok"),
        ("ok by others", ok - by_batch - by_fallback - kept, "some"),
        *((words, outcomes.get(name, 0), _color(name)) for name, words in OUTCOMES.items()),
        ("not known", report["rows"] - sum(outcomes.values()), "wait"),
    ]
    return [end for end in ends if end[1] > 0]


def _color(outcome: str) -> str:
    return "wait" if outcome == "waiting" else "bad"


def flow_of(report: Mapping[str, Any], width: float) -> Flow | None:
    """Return the diagram for a width in pixels; None if there is no row."""
    rows = report["rows"]
    ends = ends_of(report)
    if not rows or not ends:
        return None
    not_asked = {"rejected", "waiting", "not known", _KEPT}
    asked = sum(count for label, count, _ in ends if label not in not_asked)
    scale = _HEIGHT / rows
    last = width - 172
    heights = [max(_LEAST, count * scale) for _, count, _ in ends]
    places = [*_stack(heights)]
    nodes = [Node("rows", number(rows), "ink", 0, 0, _NODE, _HEIGHT)]
    links = []
    middle = last * 0.42
    if asked:
        nodes.append(Node("asked", number(asked), "ink", middle, 0, _NODE, asked * scale))
        links.append(_link((_NODE, 0), (middle, 0), asked * scale, "ink"))
    from_rows, from_asked = asked * scale, 0.0
    for (label, count, color), y, height in zip(ends, places, heights, strict=True):
        nodes.append(Node(label, number(count), color, last, y, _NODE, height))
        band = count * scale
        if label in not_asked:
            links.append(_link((_NODE, from_rows), (last, y), band, color))
            from_rows += band
        else:
            links.append(_link((middle + _NODE, from_asked), (last, y), band, color))
            from_asked += band
    bottom = max(y + max(height, _LABEL) for y, height in zip(places, heights, strict=True))
    return Flow(width, max(_HEIGHT, bottom) + 2, tuple(nodes), tuple(links))


def _stack(heights: Iterable[float]) -> Iterable[float]:
    """Yield where each node begins, so that there is room for its label."""
    y = 0.0
    for height in heights:
        yield y
        y += max(height + _GAP, _LABEL + 3)


def _link(begins: tuple[float, float], ends: tuple[float, float], band: float, color: str) -> Link:
    band = max(band, _LEAST)
    (x0, y0), (x1, y1) = begins, ends
    bend = (x0 + x1) / 2
    path = (
        f"M{x0:.1f},{y0:.1f}C{bend:.1f},{y0:.1f} {bend:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
        f"V{y1 + band:.1f}C{bend:.1f},{y1 + band:.1f} {bend:.1f},{y0 + band:.1f} "
        f"{x0:.1f},{y0 + band:.1f}Z"
    )
    return Link(path, color)
