"""A comparison as HTML: a page of its own, or tables for a notebook. Every text is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from bedrock_spark.comparing.tables import (
    closing_sentence,
    shown_answer,
    shown_value,
    tables_of,
)
from bedrock_spark.comparing.values import Comparison, Example
from bedrock_spark.page.templating import environment, style

# Examples in a notebook: the page has all of them.
_NOTEBOOK_EXAMPLES = 20


def page_html(found: Comparison) -> str:
    """Return a page that needs nothing else: no script, and no request to a server."""
    runs = [found.a] if found.b is None else [found.a, found.b]
    template = environment().get_template("compare.html")
    html: str = template.render(
        title="Comparison of " + " and ".join(run.run_id for run in runs),
        lead=_sentence(found),
        style=style("base.css") + style("report.css") + style("page.css"),
        body=Markup(_body(found, len(found.examples))),
        engine=found.engine,
    )
    return html


def fragment_html(found: Comparison) -> str:
    """Return the tables with their own style, which changes nothing else."""
    lead = Markup("<p>{}</p>").format(_sentence(found))
    body = _body(found, _NOTEBOOK_EXAMPLES)
    return f'<div class="bs"><style>{style("base.css")}</style>{lead}{body}</div>'


def _sentence(found: Comparison) -> str:
    sentence = closing_sentence(found)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _body(found: Comparison, examples: int) -> str:
    template = environment().get_template("compare_body.html")
    left_out = len(found.examples) - examples
    notes = (
        [f"rows that differ and are not shown here, in `examples`: {left_out:,}"]
        if left_out > 0
        else []
    )
    html: str = template.render(
        tables=list(tables_of(found)),
        notes=[*found.notes, *notes],
        examples=[_example(each) for each in found.examples[:examples]],
        has_two=found.b is not None,
    )
    return html


def _example(example: Example) -> dict[str, Any]:
    return {
        "key": ", ".join(f"{name} = {shown_value(v)}" for name, v in example.key.items()),
        "rows": [*_values(example)],
    }


def _values(example: Example) -> Iterator[tuple[str, list[str], bool]]:
    """Yield each value with its name and whether it differs: of the outcome, then of columns."""
    sides = [side for side in (example.a, example.b) if side is not None]
    outcomes = [side.outcome or "" for side in sides]
    if len(sides) == 1:
        yield "true value", [shown_value(example.truth)], False
    yield "outcome", outcomes, len(set(outcomes)) > 1
    for name in sides[0].values:
        texts = [shown_answer(side, name) for side in sides]
        yield name, texts, len(set(texts)) > 1
    errors = [side.error_message or "" for side in sides]
    if any(errors):
        yield "error", errors, len(set(errors)) > 1
