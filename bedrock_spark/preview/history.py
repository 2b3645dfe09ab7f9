"""The answers of each row over time, and what has changed from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.preview.values import AnsweredRow

# The name of the one column of answers that are not parsed.
ANSWER = "answer"
_NOT_THERE = object()


@dataclass(frozen=True)
class Asked:
    """An answer of a row. request: what tells the request from others; None if it was rejected."""

    request: bytes | None
    answer: AnsweredRow


@dataclass
class History:
    """The last two answers of each row, by its number."""

    _rows: dict[int, tuple[Asked, Asked | None]] = field(default_factory=dict)

    def note(self, asked: Asked) -> None:
        """Add an answer. The same answer again, which is not paid for again, adds nothing."""
        number = asked.answer.number
        last, before = self._rows.get(number, (None, None))
        is_again = last is not None and last.request == asked.request
        if is_again and asked.answer.kept_from is not None:
            self._rows[number] = asked, before
        else:
            self._rows[number] = asked, last

    def last(self, number: int) -> Asked | None:
        """Return the last answer of a row."""
        return self._rows.get(number, (None, None))[0]

    def before(self, number: int) -> AnsweredRow | None:
        """Return the answer before the last one."""
        found = self._rows.get(number, (None, None))[1]
        return None if found is None else found.answer

    def changed_rows(self) -> int:
        """Return how many rows have another answer than before."""
        pairs = ((last.answer, before) for last, before in self._rows.values())
        return sum(b is not None and bool(changed(b.answer, a)) for a, b in pairs)

    def compared_rows(self) -> int:
        """Return how many rows were answered before, too."""
        return sum(before is not None for _, before in self._rows.values())


def changed(before: AnsweredRow, after: AnsweredRow) -> set[str]:
    """Return the columns in which two answers of a row differ; `outcome` is one of them.

    Answers that are not both parsed are compared by their text: the column ANSWER.
    """
    found = {"outcome"} if before.outcome != after.outcome else set()
    if before.columns is None or after.columns is None:
        return found | ({ANSWER} if _plain(before) != _plain(after) else set())
    old: dict[str, Any] = before.columns
    return found | {
        name for name, value in after.columns.items() if old.get(name, _NOT_THERE) != value
    }


def _plain(row: AnsweredRow) -> tuple[object, ...]:
    text = (row.text or row.tool_input or "").strip()
    return (text, row.vector, row.images) if row.has_answer else (row.outcome, row.reason)
