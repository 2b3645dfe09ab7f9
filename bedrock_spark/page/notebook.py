"""Small tables for notebooks: what `_repr_html_` of Run, Plan and Report returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedrock_spark.page.flow import ends_of
from bedrock_spark.page.templating import environment, style
from bedrock_spark.page.words import number, outcome_sentence, rough_dollars, share


def table(
    title: str, rows: Sequence[tuple[str, str]], notes: Sequence[str] = (), lead: str = ""
) -> str:
    """Return names and values as an HTML table with its own style, which changes nothing else.

    lead: a sentence above the table; notes: below it
    """
    template = environment().get_template("notebook.html")
    return template.render(title=title, rows=rows, notes=notes, lead=lead, style=style("base.css"))


def summary(report: Mapping[str, Any]) -> str:
    """Return the outcome and the main numbers of a report, as report.json holds it."""
    rows = [("rows", number(report["rows"]))]
    rows += [
        (label, f"{number(count)} ({share(count, report['rows'])})")
        for label, count, _ in ends_of(report)
    ]
    tokens = report["tokens"]
    rows.append(("tokens", f"{number(tokens['input'])} in, {number(tokens['output'])} out"))
    if report["cost"] is not None:
        unknown = "".join(f", {name} not known" for name in report["unpriced"])
        rows.append(("cost", f"{rough_dollars(report['cost']['total'])}{unknown}"))
    rows.append(("run folder", report["run_uri"]))
    findings = [f"{f['kind']}: {f['detail']}" for f in report["findings"][:3]]
    return table(f"Run {report['run_id']}", rows, findings, outcome_sentence(report))
