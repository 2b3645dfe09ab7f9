"""The rows of a preview as lines of a table: the header is printed first, each row as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.preview.values import AnsweredRow, Estimate, Preview, Whole, is_same

_KEY, _OUTCOME, _TOKENS, _COST, _SECONDS = 20, 9, 11, 10, 7
_LEAST_ANSWER, _GAP = 12, "  "


@dataclass(frozen=True)
class TableLayout:
    """The columns of a table.

    width: characters of a line
    key: the columns that name a row; the first column if there is no key
    answers: the columns of an answer, for each config; () for its text
    """

    width: int
    key: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]

    @property
    def _is_compared(self) -> bool:
        return len(self.answers) > 1

    def header(self, names: Sequence[str]) -> list[str]:
        """Return the header, and above it the names of the configs if there are two."""
        left = [_cell("row", 4), *(_cell(name, _KEY) for name in self.key)]
        titles = [self._titles(columns) for columns in self.answers]
        lines = [_GAP.join([*left, *(_GAP.join(cells) for cells in titles)]).rstrip()]
        if not self._is_compared:
            return lines
        widths = [len(_GAP.join(cells)) for cells in titles]
        above = [_cell(name, width) for name, width in zip(names, widths, strict=True)]
        return [_GAP.join([" " * len(_GAP.join(left)), *above]).rstrip(), *lines]

    def line(self, rows: Sequence[AnsweredRow]) -> str:
        """Return a row with its answer by each config."""
        first = rows[0]
        cells = [_cell(str(first.number), 4)]
        cells += (_cell(shown(first.row.get(name)), _KEY) for name in self.key)
        for row, columns in zip(rows, self.answers, strict=True):
            cells += self._answer(row, columns)
        if self._is_compared:
            cells.append("same" if is_same(*rows) else "differ")
        return _GAP.join(cells).rstrip()

    def _titles(self, columns: tuple[str, ...]) -> list[str]:
        width = self._answer_width(columns)
        cells = [_cell("outcome", _OUTCOME), *(_cell(n, width) for n in columns or ("answer",))]
        if self._is_compared:
            return cells
        right = ("in/out", _TOKENS), ("cost", _COST), ("time", _SECONDS)
        return [*cells, *(f"{name:>{size}}" for name, size in right)]

    def _answer(self, row: AnsweredRow, columns: tuple[str, ...]) -> list[str]:
        width = self._answer_width(columns)
        number = len(columns) or 1
        cells = [_cell(row.outcome, _OUTCOME)]
        if row.columns is not None and columns:
            cells += (_cell(shown(row.columns.get(name)), width) for name in columns)
        else:
            cells.append(_cell(answer_text(row), width * number + len(_GAP) * (number - 1)))
        if self._is_compared:
            return cells
        cost = "" if row.cost is None else small_dollars(row.cost)
        seconds = "" if row.seconds is None else f"{row.seconds:.1f} s"
        return [*cells, f"{_tokens(row):>{_TOKENS}}", f"{cost:>{_COST}}", f"{seconds:>{_SECONDS}}"]

    def _answer_width(self, columns: tuple[str, ...]) -> int:
        fixed = 4 + (len(_GAP) + _KEY) * len(self.key)
        if self._is_compared:
            free = (self.width - fixed - len(_GAP) - len("differ")) // len(self.answers)
            free -= _OUTCOME + len(_GAP)
        else:
            free = self.width - fixed - _OUTCOME - _TOKENS - _COST - _SECONDS - 4 * len(_GAP)
        return max(_LEAST_ANSWER, free // max(1, len(columns)) - len(_GAP))


def answer_text(row: AnsweredRow) -> str:
    """Return an answer as one text: what is wrong with it if it is not ok."""
    if row.reason is not None:
        reason = f"{row.error_code} {row.reason}" if row.error_code is not None else row.reason
        return f"{reason}: {row.text}" if row.text else reason
    if row.vector is not None:
        return f"a vector of {row.vector:,} numbers"
    if row.images:
        return "an image" if row.images == 1 else f"{row.images:,} images"
    return row.text or row.tool_input or ""


def shown(value: Any) -> str:
    """Return a value of a row or an answer as text."""
    if value is None:
        return ""
    is_json = isinstance(value, (bool, int, float, dict, list, tuple))
    return json.dumps(value, ensure_ascii=False, default=str) if is_json else str(value)


def _tokens(row: AnsweredRow) -> str:
    if row.input_tokens is None and row.output_tokens is None:
        return ""
    return f"{row.input_tokens or 0:,}/{row.output_tokens or 0:,}"


def _cell(text: str, width: int) -> str:
    """Return a text on one line that takes `width` columns of a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * width + 2])
    if cell_len(line) <= width:
        return set_cell_size(line, width)
    return f"{set_cell_size(line, width - 1)}…"


def estimate_line(estimate: Estimate, model_id: str) -> str:
    """Return what a preview may cost, in a sentence."""
    rows = "1 row" if estimate.rows == 1 else f"{estimate.rows:,} rows"
    asks = f"asks {model_id} about {rows}, {estimate.input_tokens:,} tokens in"
    if estimate.price is None and not estimate.high:
        return f"{asks}; the cost is not known"
    if estimate.high is None:
        return f"{asks}: costs {small_dollars(estimate.low)} or more"
    return f"{asks}: costs at most {small_dollars(estimate.high)}"


def summary_rows(preview: Preview) -> Iterator[tuple[str, str]]:
    """Yield the lines below the table: what was paid, and what the whole will cost."""
    for each in preview.previews:
        if len(preview.previews) > 1:
            yield "config", f"{each.config}: {each.model_id}"
        yield "outcomes", ", ".join(f"{n:,} {name}" for name, n in each.outcomes.items())
        cost = "not known" if each.cost is None else small_dollars(each.cost)
        yield "paid", f"{cost}: {each.input_tokens:,} tokens in, {each.output_tokens:,} out"
        if each.whole is not None:
            yield "the whole", _whole(each.whole)
        for note in each.notes:
            yield "note", note
    if preview.same is not None:
        number = len(preview.previews[0].rows)
        yield "same", f"{preview.same:,} of {number:,} rows have the same answer by both"


def _whole(whole: Whole) -> str:
    rows = f"{whole.records:,} rows"
    if whole.cost is None:
        return f"{rows}; the cost is not known"
    cost = whole.cost
    low = small_dollars(cost.low)
    interval = f"{low} or more" if cost.high is None else f"{low} to {small_dollars(cost.high)}"
    likely = "" if cost.likely is None else f"about {small_dollars(cost.likely)} "
    money = f"{likely}({interval})" if likely else interval
    out = whole.output_tokens
    answers = f"{out.likely:,}" if out.likely is not None else f"{out.low:,} or more"
    tokens_in = whole.input_tokens.likely or whole.input_tokens.low
    return f"{rows} would cost {money}: {tokens_in:,} tokens in, {answers} out"


def closing_sentence(preview: Preview) -> str:
    """Return how a preview ended, in a sentence."""
    asked = [row for each in preview.previews for row in each.rows if row.outcome != "rejected"]
    ok = sum(each.outcomes.get("ok", 0) for each in preview.previews)
    costs = [each.cost for each in preview.previews if each.cost is not None]
    paid = f", for {small_dollars(sum(costs[1:], costs[0]))}" if costs else ""
    return f"{ok:,} of {len(asked):,} answers are ok{paid}"


def prompt_lines(row: AnsweredRow) -> list[str]:
    """Return the request of a row as indented JSON."""
    text = json.dumps(row.request, ensure_ascii=False, indent=2)
    return [f"      {line}" for line in text.splitlines()]
