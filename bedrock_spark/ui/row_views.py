"""A row of a config and its answer as the page of rows shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.families.request_body import body_template
from bedrock_spark.outputs.outcomes import OK, REJECTED
from bedrock_spark.page.short_values import shortened
from bedrock_spark.preview.bench import Bench
from bedrock_spark.preview.history import ANSWER, changed
from bedrock_spark.preview.memory import THIS_SESSION
from bedrock_spark.preview.values import AnsweredRow
from bedrock_spark.preview.view import View
from bedrock_spark.preview.words import answer_text, shown
from bedrock_spark.schema import parse_ddl

# Columns of the row itself, beside its key, and the characters of each of them.
_MOST_COLUMNS, _MOST_CHARACTERS = 3, 200


@dataclass(frozen=True)
class Cell:
    """A cell. before: the text of the answer before; None if it has not changed"""

    text: str
    before: str | None = None
    span: int = 1


@dataclass(frozen=True)
class RowView:
    """A row of the table.

    values: of the row itself; outcome: None if it was not asked
    is_current: whether the answer is one to the request of now
    kept: where the answer was kept, if it was not paid for now
    most: what it costs to ask it, such as `at most $0.02`
    details: titles and texts of what is folded
    """

    number: int
    values: tuple[str, ...]
    outcome: Cell | None
    is_ok: bool
    answers: tuple[Cell, ...]
    is_current: bool
    tokens: str
    cost: str
    kept: str | None
    seconds: str
    can_ask: bool
    most: str | None
    details: tuple[tuple[str, str], ...]


def source_columns(view: View) -> tuple[str, ...]:
    """Return the columns of a row that are shown: its key, and what the model is asked about."""
    config, kept = view.side.config, list(view.side.rendered[0].row)
    asked = [name for name in body_template(config).columns if name in kept]
    names = (*config.source.key, *asked[:_MOST_COLUMNS]) or tuple(kept[:1])
    return tuple(dict.fromkeys(names))


def answer_columns(view: View) -> tuple[str, ...]:
    """Return the columns of the answers."""
    parse = view.side.config.results.parse
    return tuple(f.name for f in parse_ddl(parse.columns)) if parse is not None else (ANSWER,)


def rows_of(bench: Bench, view: View) -> list[RowView]:
    """Return all rows."""
    columns = source_columns(view)
    return [row_of(bench, view, n, columns) for n in range(1, len(view.side.rendered) + 1)]


def row_of(bench: Bench, view: View, number: int, columns: tuple[str, ...]) -> RowView:
    """Return a row with its last answer. columns: of the row itself, as `source_columns`"""
    rendered = view.side.rendered[number - 1]
    asked, before = bench.history.last(number), bench.history.before(number)
    answer = asked.answer if asked is not None else None
    if answer is None and rendered.line is None:
        answer = AnsweredRow(
            number=number, row=rendered.row, outcome=REJECTED, reason=rendered.reason
        )
    most = view.most.get(number)
    return RowView(
        number=number,
        values=tuple(_short(rendered.row.get(name)) for name in columns),
        outcome=None if answer is None else _outcome(answer, before),
        is_ok=answer is not None and answer.outcome == OK,
        answers=_cells(answer, before, answer_columns(view)),
        is_current=answer is None or rendered.line is None or bench.is_current(number),
        tokens=_tokens(answer),
        cost="" if answer is None or answer.cost is None else small_dollars(answer.cost),
        kept=_kept(answer),
        seconds="" if answer is None or answer.seconds is None else f"{answer.seconds:.1f} s",
        can_ask=rendered.line is not None,
        most=most,
        details=tuple(_details(rendered.row, rendered.line, answer)),
    )


def _short(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _outcome(answer: AnsweredRow, before: AnsweredRow | None) -> Cell:
    is_changed = before is not None and before.outcome != answer.outcome
    return Cell(answer.outcome, before.outcome if before is not None and is_changed else None)


def _cells(
    answer: AnsweredRow | None, before: AnsweredRow | None, columns: tuple[str, ...]
) -> tuple[Cell, ...]:
    if answer is None:
        return (Cell("", span=len(columns)),)
    names = changed(before, answer) if before is not None else set()
    if answer.columns is None or columns == (ANSWER,):
        is_changed = before is not None and bool(names - {"outcome"})
        old = answer_text(before) if before is not None and is_changed else None
        return (Cell(answer_text(answer), old, len(columns)),)
    return tuple(
        Cell(
            shown(answer.columns.get(name)),
            _before(before, name) if before is not None and names & {name, ANSWER} else None,
        )
        for name in columns
    )


def _before(before: AnsweredRow, name: str) -> str:
    if before.columns is None:
        return answer_text(before)
    return shown(before.columns.get(name)) or "nothing"


def _tokens(answer: AnsweredRow | None) -> str:
    if answer is None or (answer.input_tokens is None and answer.output_tokens is None):
        return ""
    return f"{answer.input_tokens or 0:,} / {answer.output_tokens or 0:,}"


def _kept(answer: AnsweredRow | None) -> str | None:
    if answer is None or answer.kept_from is None:
        return None
    if answer.kept_from == THIS_SESSION:
        return "asked before, not paid again"
    return f"kept by {answer.kept_from}" if answer.kept_from else "kept"


def _details(
    row: dict[str, Any], line: Any, answer: AnsweredRow | None
) -> Iterator[tuple[str, str]]:
    yield "Row", _indented(row)
    if line is not None:
        yield "Request", _indented(shortened(json.loads(line.body)))
    text = None if answer is None else answer.text or answer.tool_input
    if text:
        yield "Answer", text


def _indented(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
