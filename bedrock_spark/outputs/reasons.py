"""Why rows are not ok: the commonest reasons of errors, rejected rows and answers that are not ok.

Reasons are counted by their pattern: a message with its ids, numbers and quoted values replaced, so
that equal causes are equal and no value of a row stands in a report. A shard keeps the most
frequent patterns only, and the number of rows with any other. So a sum over shards is exact for a
pattern that is among the most frequent of each shard, and too low by at most the number of others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

# How many patterns a shard keeps and a report shows, and how many a sum over shards holds.
MOST_REASONS, _MOST_HELD = 10, 2_000
# How many record ids a sum over shards keeps of a reason: each shard knows one.
MOST_EXAMPLES = 5
_LONGEST, _LONGEST_READ = 240, 1_000

# The parts of a message that differ from record to record, the longest kinds first.
_VARIABLE = re.compile(
    r"""
      (?P<quoted> "(?:[^"\\]|\\.)*" | (?<!\w)'(?:[^'\\]|\\.)*'(?!\w) | `[^`]*` | “[^”]*” | «[^»]*» )
    | (?P<json>   \{ .* \} | \[ [^\]]* \] )
    | (?P<uri>    \b [a-z][a-z0-9+.-]* :// \S+ | \b arn: \S+ | (?<![\w.+-]) [\w.+-]{1,64} @ \S+ )
    | (?P<number> \b \d{4}-\d\d-\d\d \S*
        | (?<![\w.]) [-+]? \d+ (?: ,\d+ )* (?: \. \d+ )? (?! [\w-] ) )
    | (?P<id>     \b (?= \w*\d ) (?: [0-9a-fA-F]{8,} (?: - [0-9a-fA-F]{2,} )* | [\w-]{20,} ) \b )
    """,
    re.VERBOSE | re.DOTALL,
)
_SHOWN = {"quoted": "'…'", "json": "[…]", "uri": "…", "id": "…", "number": "N"}


@dataclass(frozen=True)
class Reason:
    """Why rows ended as they did.

    outcome: error, invalid, truncated, refused or rejected
    code: of the error, None if there is none
    message: the pattern of the message, without any value
    count: the number of rows
    example: the record id of one, None for rejected rows; more_examples: of other shards
    """

    outcome: str
    code: int | None
    message: str
    count: int
    example: str | None = None
    more_examples: tuple[str, ...] = ()

    @property
    def examples(self) -> tuple[str, ...]:
        """Return the record ids, at most MOST_EXAMPLES."""
        return (*((self.example,) if self.example is not None else ()), *self.more_examples)


@lru_cache(maxsize=4_096)
def pattern_of(message: str) -> str:
    """Return a message with all that may differ from record to record replaced."""
    text = " ".join(message[:_LONGEST_READ].split())
    text = _VARIABLE.sub(lambda found: _SHOWN[found.lastgroup or "quoted"], text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


@dataclass(slots=True)
class _Counted:
    """A reason as it was first seen, with more examples, and the number of rows so far."""

    first: Reason
    count: int


@dataclass
class ReasonCounts:
    """Counts rows by reason.

    others: rows whose reason is not among those that are held
    """

    others: int = 0
    _reasons: dict[tuple[str, int | None, str], _Counted] = field(default_factory=dict)

    def add(
        self,
        outcome: str,
        code: int | None,
        message: str | None,
        example: str | None = None,
        rows: int = 1,
    ) -> None:
        """Count the rows of one record."""
        self._add(Reason(outcome, code, pattern_of(message or ""), rows, example))

    def merge(self, reasons: Iterable[Reason], others: int) -> None:
        """Add the counts of a shard."""
        for reason in reasons:
            self._add(reason, with_examples=True)
        self.others += others

    def _add(self, reason: Reason, *, with_examples: bool = False) -> None:
        key = (reason.outcome, reason.code, reason.message)
        known = self._reasons.get(key)
        if known is None:
            self._reasons[key] = _Counted(reason, reason.count)
        else:
            known.count += reason.count
            first, more = known.first.example, known.first.more_examples
            if (
                with_examples
                and reason.example not in (None, first, *more)
                and len(more) < MOST_EXAMPLES - 1
            ):
                known.first = replace(known.first, more_examples=(*more, str(reason.example)))
        if len(self._reasons) > 2 * _MOST_HELD:
            kept, others = _most(self._all(), _MOST_HELD)
            self._reasons = {(r.outcome, r.code, r.message): _Counted(r, r.count) for r in kept}
            self.others += others

    def _all(self) -> Iterator[Reason]:
        return (replace(each.first, count=each.count) for each in self._reasons.values())

    def most_common(self, most: int = MOST_REASONS) -> tuple[list[Reason], int]:
        """Return the most frequent reasons, and how many rows have another one."""
        kept, others = _most(self._all(), most)
        return kept, self.others + others


def _most(reasons: Iterable[Reason], most: int) -> tuple[list[Reason], int]:
    ordered = sorted(reasons, key=lambda r: (-r.count, r.outcome, r.code or 0, r.message))
    return ordered[:most], sum(reason.count for reason in ordered[most:])
