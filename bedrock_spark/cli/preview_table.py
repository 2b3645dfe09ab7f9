"""The rows of a preview as lines of a table: the header is printed first, each row as it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.page.short_values import shortened
from bedrock_spark.preview.values import AnsweredRow, is_same
from bedrock_spark.preview.words import answer_text, shown

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
        if self._is_compared and any(row.has_answer for row in rows):
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
        cost = "kept" if row.kept_from is not None else cost
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


def _tokens(row: AnsweredRow) -> str:
    if row.input_tokens is None and row.output_tokens is None:
        return ""
    return f"{row.input_tokens or 0:,}/{row.output_tokens or 0:,}"


def _cell(text: str, width: int) -> str:
    """Return a text on one line that takes `width` columns of a terminal."""
    line = _printable(text[: 2 * width + 2])
    if cell_len(line) <= width:
        return set_cell_size(line, width)
    return f"{set_cell_size(line, width - 1)}…"


def _printable(text: str) -> str:
    """Return a text that changes nothing on a terminal: no line break, no control character."""
    return "".join(c if c.isprintable() else " " for c in text)


def prompt_lines(row: AnsweredRow) -> list[str]:
    """Return the request of a row as indented JSON; vectors and images are cut."""
    text = json.dumps(shortened(row.request), ensure_ascii=False, indent=2)
    return [f"      {_printable(line)}" for line in text.split("\n")]
