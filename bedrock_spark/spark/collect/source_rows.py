"""The source rows of a shard, which its results are joined to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from bedrock_spark.spark.row_bytes import Sizes, row_bytes


class SourceRows:
    """The rows of a table.

    sizes: the bytes of each row
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema = table.schema
        sizes = [row_bytes(batch) for batch in table.to_batches()] if table.num_columns else []
        self.sizes: Sizes = np.concatenate(sizes) if sizes else np.zeros(len(table), np.int64)

    def take(self, places: Sequence[int]) -> list[pa.Array]:
        """Return the columns of the rows at these positions, in this order."""
        return [_combined(column) for column in self._table.take(pa.array(places)).columns]


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
