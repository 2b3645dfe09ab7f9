"""Compare tables of which all compact rows fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from bedrock_spark.pairs.compact import compact_schema
from bedrock_spark.pairs.matching import CHUNK_ROWS
from bedrock_spark.pairs.sides import Column
from bedrock_spark.pairs.tally import Question, Tally, tally


def tally_in_memory(
    batches: Iterable[pa.RecordBatch], columns: tuple[Column, ...], questions: tuple[Question, ...]
) -> list[Tally]:
    """Return what is counted for each question. batches: compact rows, in any order."""
    return tally(
        _sorted(pa.Table.from_batches(batches, compact_schema(columns))), columns, questions
    )


def _sorted(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield rows by key. Only some of them are copied at a time."""
    order = np.lexsort((table.column("k2").to_numpy(), table.column("k1").to_numpy()))
    for start in range(0, table.num_rows, CHUNK_ROWS):
        chunk = table.take(pa.array(order[start : start + CHUNK_ROWS]))
        yield from chunk.combine_chunks().to_batches()
