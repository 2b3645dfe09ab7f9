"""The charts of the page as SVG, by Pygal (https://www.pygal.org).

Colors are CSS variables, so that the page's own style sheet decides between light and dark. Titles
and tables are the page's: a chart is a picture of the table below it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bedrock_spark.page.library import pygal
from bedrock_spark.page.words import compact

WIDTH, HEIGHT = 460, 210
_FONT = 12
_NOT_A_NAME = re.compile(r"[^a-z]+")
# What scripts of Pygal would need, and its comments; the page has no script.
_UNUSED = re.compile(
    r"<script[^>]*>.*?</script>|<desc[^>]*>[^<]*</desc>|<!--.*?-->"
    r'|<g class="(?:tooltip|text-overlay)"[^>]*/>',
    re.DOTALL,
)
# The color of a job by its status.
_STATUS = {
    "Completed": "var(--ok)",
    "PartiallyCompleted": "var(--some)",
    "Failed": "var(--bad)",
    "Expired": "var(--bad)",
    "Stopped": "var(--quiet)",
    "active": "var(--wait)",
}


def over_time(name: str, timeline: Mapping[str, Any], series: Mapping[str, Sequence[int]]) -> str:
    """Return stacked bars, one for each bin of the timeline."""
    chart = pygal().StackedBar(**_options(name, ["var(--ok)", "var(--some)"], compact))
    labels = times(timeline)
    chart.x_labels = labels
    chart.x_labels_major = _some(labels)
    chart.y_labels = ticks(max(map(sum, zip(*series.values(), strict=True))))
    for label, values in series.items():
        chart.add(label, list(values))
    return _svg(chart, name)


def histogram(name: str, labels: Sequence[str], counts: Sequence[int]) -> str:
    """Return a bar for each label."""
    chart = pygal().Bar(**_options(name, ["var(--ok)"], compact))
    chart.x_labels = list(labels)
    chart.x_labels_major = _some(labels, most=8)
    chart.y_labels = ticks(max(counts))
    chart.add(name, list(counts))
    return _svg(chart, name)


def gantt(name: str, timeline: Mapping[str, Any]) -> str:
    """Return a row for each slot, or for some slots that are beside each other, and its jobs."""
    bars = timeline["bars"]
    rows = 1 + max((bar["row"] for bar in bars), default=0)
    whole = timeline["bin_seconds"] * len(timeline["slots"])
    statuses = [status for status in _STATUS if any(bar["status"] == status for bar in bars)]
    options = _options(name, [_STATUS[status] for status in statuses], lambda row: f"{row:.0f}")
    thickness = max(1.5, min(14.0, 0.72 * (HEIGHT - 40) / rows))
    chart = pygal().XY(
        **options,
        show_dots=False,
        allow_interruptions=True,
        range=(-rows + 0.5, 0.5),
        xrange=(0, whole),
        x_value_formatter=lambda seconds: _clock(timeline, seconds),
    )
    chart.x_labels = [whole * place / 4 for place in range(4)]
    chart.x_labels_major = chart.x_labels
    step = max(1, -(-rows // 6))
    per_row = timeline["slots_per_row"]
    chart.y_labels = [
        {"value": -row, "label": str(row * per_row + 1)} for row in range(0, rows, step)
    ]
    least = whole / WIDTH  # a job that is too short to be seen is drawn as wide as a pixel
    for status in statuses:
        points: list[tuple[float, float] | None] = []
        for bar in bars:
            if bar["status"] == status:
                ends = max(bar["ends"], bar["begins"] + least)
                points += [(bar["begins"], -bar["row"]), (ends, -bar["row"]), None]
        chart.add(status, points)
    return _svg(chart, name).replace("<svg ", f'<svg style="--bar:{thickness:.1f}px" ', 1)


def times(timeline: Mapping[str, Any]) -> list[str]:
    """Return when each bin of the timeline begins, in UTC."""
    step = timeline["bin_seconds"]
    return [_clock(timeline, place * step) for place in range(len(timeline["slots"]))]


def ticks(most: float) -> list[int]:
    """Return three to six whole numbers from 0 to at least `most`, in steps that are easy to read.

    The step is 1, 2 or 5 times a power of ten.
    """
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if most <= 5 * step:
                return [step * place for place in range(max(2, -(-int(most) // step)) + 1)]
        power *= 10


def status_color(status: str) -> str:
    """Return the color of a job with this status, for a legend."""
    return _STATUS.get(status, "var(--wait)")


def _options(
    name: str, colors: Sequence[str], show: Callable[[float], str], height: int = HEIGHT
) -> dict[str, Any]:
    style = pygal().style.Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--quiet)",
        foreground_strong="var(--quiet)",
        foreground_subtle="var(--line)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        opacity="1",
        opacity_hover="1",
        stroke_opacity="1",
        transition="none",
        colors=tuple(colors),
        font_family="inherit",
        label_font_size=_FONT,
        major_label_font_size=_FONT,
        no_data_font_size=_FONT,
    )
    return {
        "style": style,
        "js": (),
        "width": WIDTH,
        "height": height,
        "margin": 2,
        "margin_right": 18,
        "spacing": 8,
        "show_legend": False,
        "print_values": False,
        "show_minor_x_labels": False,
        "disable_xml_declaration": True,
        "value_formatter": show,
        "truncate_label": -1,
        "no_data_text": "",
    }


def _svg(chart: Any, name: str) -> str:
    # The id that a chart's style begins with: a random one would change the page each time.
    svg = str(chart.render(is_unicode=True)).replace(chart.uuid, _NOT_A_NAME.sub("-", name))
    svg = _UNUSED.sub("", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _clock(timeline: Mapping[str, Any], seconds: float) -> str:
    """Return the time of day, with the day if the run took longer than one; UTC."""
    begins = dt.datetime.fromisoformat(timeline["begins_at"])
    whole = timeline["bin_seconds"] * len(timeline["slots"])
    form = (
        "%m-%d %H:%M"
        if whole > 86_400
        else "%H:%M"
        if timeline["bin_seconds"] >= 60
        else "%H:%M:%S"
    )
    return (begins + dt.timedelta(seconds=seconds)).strftime(form)


def _some(labels: Sequence[str], most: int = 5) -> list[str]:
    step = max(1, -(-len(labels) // most))
    return list(dict.fromkeys(labels[::step]))
