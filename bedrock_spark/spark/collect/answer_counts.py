"""Count what the answers of a shard look like: how long they are, and which labels they have.

It reads the Arrow columns of results as they are written, thousands of rows at a time, so a row
costs some nanoseconds.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.outputs.labels import LONGEST_LABEL, MOST_LABELS
from bedrock_spark.outputs.size_bins import LEAST
from bedrock_spark.schema import Field

_LABELS = frozenset({"string", "boolean"})
# More label columns than this are not counted: a reconciliation stays small.
_MOST_COLUMNS = 8


class AnswerCounts:
    """Counts of the rows of a shard.

    prefix: of the names of result columns; parsed: the columns of `results.parse`
    lengths: rows with an answer by its output tokens, in the bins of size_bins.py
    labels: by column, the rows of each value; None if these are no labels: too many, or too long
    """

    def __init__(self, prefix: str, parsed: tuple[Field, ...]) -> None:
        names = [field.name for field in parsed if field.kind.name in _LABELS][:_MOST_COLUMNS]
        self.lengths: Counter[str] = Counter()
        self.labels: dict[str, Counter[str] | None] = {name: Counter() for name in names}
        self._prefix = prefix
        self._edges = np.array(LEAST)

    def add(self, rows: pa.RecordBatch) -> None:
        """Add some rows of the results."""
        tokens = rows.column(f"{self._prefix}output_tokens").drop_null()
        if len(tokens):
            places = np.searchsorted(self._edges, tokens.to_numpy(), side="right") - 1
            for place, count in enumerate(np.bincount(np.maximum(places, 0)).tolist()):
                if count:
                    self.lengths[str(LEAST[place])] += count
        for name, known in self.labels.items():
            if known is not None:
                self._add_labels(name, known, rows.column(f"{self._prefix}{name}"))

    def _add_labels(self, name: str, known: Counter[str], column: pa.Array) -> None:
        counted = pc.value_counts(column.drop_null())
        if len(counted) > MOST_LABELS:
            self.labels[name] = None
            return
        values = map(_as_text, counted.field("values").to_pylist())
        known.update(dict(zip(values, counted.field("counts").to_pylist(), strict=True)))
        if len(known) > MOST_LABELS or any(len(value) > LONGEST_LABEL for value in known):
            self.labels[name] = None


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
