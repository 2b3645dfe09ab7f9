"""Which values of answer columns may be shown as labels, and their sums over shards.

A report shows no answer that nobody asked for. So a column is one of labels only if it has few
values and short ones, and a value is named only if several rows have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

# Of a shard, and the longest text. A column with more or longer values has no labels.
MOST_LABELS, LONGEST_LABEL = 30, 60
# Of a run: how many values a column may have, and how many a report names.
_MOST_OF_RUN, _NAMED = 200, 20
# A value that fewer rows have is counted with the others.
LEAST_ROWS = 3

# By column, the rows of each value; None if these are no labels.
Labels: TypeAlias = Mapping[str, Mapping[str, int] | None]


class LabelCounts:
    """Adds up the labels of shards."""

    def __init__(self) -> None:
        self._columns: dict[str, Counter[str] | None] = {}

    def add(self, labels: Labels) -> None:
        """Add the labels of one shard."""
        for name, counts in labels.items():
            known = self._columns.setdefault(name, Counter())
            if counts is None or known is None:
                self._columns[name] = None
                continue
            known.update(counts)
            if len(known) > _MOST_OF_RUN:
                self._columns[name] = None

    def as_json(self) -> list[dict[str, Any]]:
        """Return of each column its `column`, `values` (`value` and `rows`) and `others`, rows."""
        return [*self._listed()]

    def _listed(self) -> Iterable[dict[str, Any]]:
        for name, counts in self._columns.items():
            common = [] if counts is None else counts.most_common(_NAMED)
            named = [(value, rows) for value, rows in common if rows >= LEAST_ROWS]
            if counts is not None and named:
                others = counts.total() - sum(rows for _, rows in named)
                values = [{"value": value, "rows": rows} for value, rows in named]
                yield {"column": name, "values": values, "others": others}
