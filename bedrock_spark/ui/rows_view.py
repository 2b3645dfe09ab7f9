"""What a page of rows shows of each row, and what it says of how they were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from bedrock_spark.browse.opened_runs import OpenedRun
from bedrock_spark.browse.plain_json import as_text
from bedrock_spark.browse.row_filter import RowFilter, searched_columns
from bedrock_spark.browse.row_pages import FoundRow, RowPage
from bedrock_spark.browse.row_query import RowQuery
from bedrock_spark.browse.row_sets import RowSet
from bedrock_spark.browse.unit_file import Place
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.page.words import counted, number
from bedrock_spark.schema import RESULT_COLUMNS, parse_ddl

# The longest text of a cell, and the characters around a text that was found.
_CELL, _AROUND = 160, 40
_SOURCE_COLUMNS = 2


@dataclass(frozen=True)
class Found:
    """A text that was looked for, in its column, with what is around it."""

    column: str
    before: str
    text: str
    after: str


@dataclass(frozen=True)
class ShownRow:
    """A row of the table. cells: as text, in the order of the columns; found: of a text search"""

    place: Place
    record_id: str | None
    outcome: str
    cells: tuple[str, ...]
    found: Found | None


def shown_rows(
    opened: OpenedRun,
    query: RowQuery,
    rows: Sequence[FoundRow],
    columns: Sequence[str],
    schema: pa.Schema,
) -> tuple[tuple[str, ...], list[ShownRow]]:
    """Return the columns of the table, and its rows."""
    results = opened.run.config.results
    names = _columns(opened, query, rows, columns)
    cost = f"{results.prefix}cost_usd"
    searched = searched_columns(schema, results)
    shown = [
        ShownRow(
            row.place,
            row.values.get(f"{results.prefix}record_id"),
            str(row.values.get(results.outcome_column) or ""),
            tuple(_cell(name, row.values.get(name), cost) for name in names),
            _found(row, query.wanted, searched),
        )
        for row in rows
    ]
    return names, shown


def cell(value: Any, most: int = _CELL) -> str:
    """Return a value on one line, cut if it is long."""
    if value is None:
        return ""
    text = as_text(value)
    line = " ".join(text[: 4 * most].split())
    is_cut = len(line) > most or len(text) > 4 * most
    return f"{line[: most - 1]}…" if is_cut else line


def _cell(name: str, value: Any, cost: str) -> str:
    if name == cost and value is not None:
        return small_dollars(Decimal(str(value)))
    return cell(value)


def _columns(
    opened: OpenedRun, query: RowQuery, rows: Sequence[FoundRow], columns: Sequence[str]
) -> tuple[str, ...]:
    """Return the columns that tell rows apart, those of the answer, and those of the query."""
    config = opened.run.config
    prefix = config.results.prefix
    results = {f"{prefix}{name}" for name in RESULT_COLUMNS}
    parse = config.results.parse
    parsed = [f"{prefix}{each.name}" for each in parse_ddl(parse.columns)] if parse else []
    source = [name for name in columns if name not in results and name not in parsed]
    key = [name for name in config.source.key if name in columns] or source[:_SOURCE_COLUMNS]
    answer = parsed or [f"{prefix}text"]
    order = query.order.column if query.order is not None else None
    asked = [name for name in (query.wanted.column, order) if name is not None]
    error = f"{prefix}error_message"
    has_error = any(row.values.get(error) is not None for row in rows)
    names = [*key, *answer, *([error] if has_error else []), *asked, f"{prefix}cost_usd"]
    hidden = (config.results.outcome_column, f"{prefix}record_id")
    return tuple(dict.fromkeys(n for n in names if n in columns and n not in hidden))


def _found(row: FoundRow, wanted: RowFilter, searched: Iterable[str]) -> Found | None:
    if not wanted.text:
        return None
    for name in searched:
        text = row.values.get(name)
        at = text.lower().find(wanted.text.lower()) if isinstance(text, str) else -1
        if isinstance(text, str) and at >= 0:
            end = at + len(wanted.text)
            before, after = text[max(0, at - _AROUND) : at], text[end : end + _AROUND]
            return Found(name, before, text[at:end], after)
    return None


def how_found(opened: OpenedRun, query: RowQuery, page: RowPage | RowSet) -> str:
    """Say in a sentence what was looked at, and whether there is more."""
    if isinstance(page, RowSet):
        where = (
            f"a sample of {counted(page.units, 'shard')}" if query.is_sample else str(query.unit)
        )
        first = query.first + 1
        rows = f"rows {number(first)} to {number(query.first + len(page.rows))} of "
        shown = rows if page.rows else ""
        fits = "that fit" if not query.wanted.is_empty else ""
        order = ", sorted" if query.order is not None else ""
        return _clean(
            f"{shown}{number(page.found)} {fits} among {number(page.read_rows)} rows of "
            f"{where}{order}. Rows elsewhere in the run are not looked at"
            if query.is_sample
            else f"{shown}{number(page.found)} {fits} among {number(page.read_rows)} rows of "
            f"{where}{order}"
        )
    total = _total(opened, query)
    of_all = f" of {number(total)}" if total is not None else ""
    looked = (
        f"{number(page.read_rows)} rows in {counted(page.groups, 'row group')} of "
        f"{counted(page.units, 'shard')} were read"
    )
    end = ""
    if page.is_cut:
        assert page.next is not None
        end = f"; the page ends here, before {page.next.unit}, because it has read enough"
    elif page.next is None:
        end = "; there are no more"
    return _clean(f"{counted(len(page.rows), 'row')}{of_all}: {looked}{end}")


def _clean(text: str) -> str:
    sentence = " ".join(text.split())
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _total(opened: OpenedRun, query: RowQuery) -> int | None:
    """Return how many rows fit, if the counts of the run tell; None if not."""
    wanted, counts = query.wanted, opened.counts
    if query.unit is not None or not counts.collected:
        return None
    if wanted.is_empty:
        return int(counts.rows.sum())
    if wanted == RowFilter(outcomes=wanted.outcomes):
        return sum(counts.totals.get(name, 0) for name in wanted.outcomes)
    return None
