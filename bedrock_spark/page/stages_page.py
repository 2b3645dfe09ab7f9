"""The page of several stages: an overview, and the page of each stage below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from bedrock_spark.page.document import render
from bedrock_spark.page.templating import environment, style
from bedrock_spark.page.words import outcome_sentence

_MAIN = re.compile(r"<main>(.*)</main>", re.DOTALL)
# What names an element of the page, and what refers to one.
_NAMES = re.compile(r'\b(id|aria-labelledby|aria-describedby|for)="([^"]+)"|(href="#|url\(#)')
_HEADINGS = re.compile(r"<(/?)h([1-4])\b")


def render_stages(report: Mapping[str, Any], refresh_seconds: int | None = None) -> str:
    """Return the page of a report of stages, as report.json of their folder holds it."""
    stages = [
        {
            "name": stage["name"],
            "report": stage["report"],
            "sentence": outcome_sentence(stage["report"]) if stage["report"] else "Not begun.",
            "page": _part(stage["name"], stage["report"]) if stage["report"] else None,
        }
        for stage in report["stages"]
    ]
    done = sum(bool(s["report"]) and s["report"]["state"] == "done" for s in report["stages"])
    return (
        environment()
        .get_template("stages.html")
        .render(
            report=report,
            stages=stages,
            sentence=f"{done} of {len(stages)} stages are done",
            refresh_seconds=refresh_seconds,
            style=style("base.css") + style("report.css") + style("page.css"),
        )
    )


def _part(name: str, report: Mapping[str, Any]) -> Markup:
    """Return the page of a stage as a part of a page: its names are its own, its headings lower."""

    def named(match: re.Match[str]) -> str:
        if match[3]:
            return f"{match[3]}{name}-"
        ids = " ".join(f"{name}-{each}" for each in match[2].split())
        return f'{match[1]}="{ids}"'

    found = _MAIN.search(render(report))
    assert found is not None
    lower = _HEADINGS.sub(lambda match: f"<{match[1]}h{int(match[2]) + 1}", found[1])
    return Markup(_NAMES.sub(named, lower))
