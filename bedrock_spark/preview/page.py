"""A preview as HTML: a page of its own, or a table for a notebook. Every text is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.page.short_values import shortened
from bedrock_spark.page.templating import environment, style
from bedrock_spark.preview.values import AnsweredRow, Preview
from bedrock_spark.preview.words import answer_text, shown, summary_rows


def page_html(preview: Preview) -> str:
    """Return a page that needs nothing else: no script, and no request to a server."""
    names = ", ".join(each.config for each in preview.previews)
    models = ", ".join(dict.fromkeys(each.model_id for each in preview.previews))
    where = "" if preview.where is None else f" for which {preview.where}"
    number = len(preview.previews[0].rows)
    html: str = (
        environment()
        .get_template("preview.html")
        .render(
            title=f"Preview of {names}",
            lead=f"{number:,} rows{where}; {models}",
            style=style("base.css") + style("report.css") + style("page.css"),
            table=Markup(_table(preview)),
            summary=list(summary_rows(preview)),
            rows=[_row_and_requests(preview, rows) for rows in _together(preview)],
        )
    )
    return html


def table_html(preview: Preview) -> str:
    """Return the answers and the costs with their own style, which changes nothing else."""
    summary = Markup("").join(
        Markup("<p>{}: {}</p>").format(name, value) for name, value in summary_rows(preview)
    )
    return f'<div class="bs"><style>{style("base.css")}</style>{_table(preview)}{summary}</div>'


def _table(preview: Preview) -> str:
    first = preview.previews[0].rows[0]
    key = preview.key or tuple(list(first.row)[:1])
    html: str = (
        environment()
        .get_template("preview_table.html")
        .render(
            key=key,
            names=[(each.config, each.columns or ("answer",)) for each in preview.previews],
            rows=[
                {
                    "number": rows[0].number,
                    "key": [shown(rows[0].row.get(name)) for name in key],
                    "sides": [
                        _side(row, each.columns)
                        for row, each in zip(rows, preview.previews, strict=True)
                    ],
                }
                for rows in _together(preview)
            ],
        )
    )
    return html


def _together(preview: Preview) -> list[tuple[AnsweredRow, ...]]:
    """Return each row as all configs have it."""
    return list(zip(*(each.rows for each in preview.previews), strict=True))


def _side(row: AnsweredRow, columns: Sequence[str]) -> dict[str, Any]:
    has_columns = row.columns is not None and bool(columns)
    values = row.columns or {}
    return {
        "outcome": row.outcome,
        "cells": [shown(values.get(n)) for n in columns] if has_columns else [answer_text(row)],
        "span": max(1, len(columns)),
        "cost": "" if row.cost is None else small_dollars(row.cost),
        "time": "" if row.seconds is None else f"{row.seconds:.1f} s",
    }


def _row_and_requests(preview: Preview, rows: Sequence[AnsweredRow]) -> dict[str, Any]:
    return {
        "number": rows[0].number,
        "row": _indented(rows[0].row),
        "requests": [
            (each.config, _indented(shortened(row.request)))
            for row, each in zip(rows, preview.previews, strict=True)
            if row.request is not None
        ],
    }


def _indented(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
