"""Cut the rows of a shard into pieces that fit into one Arrow array each.

An Arrow array of texts or bytes holds 2 GiB at most: its offsets are signed 32-bit numbers
(https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-layout). pyarrow makes a
ChunkedArray of more, which is no column of a record batch. Images as base64 reach that within a few
thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def pieces_of(
    sizes: npt.NDArray[np.int64], max_rows: int, max_bytes: int
) -> Iterator[tuple[int, int]]:
    """Yield the ranges `[start, stop)` of rows with these sizes, in order and without gaps.

    Each has at most `max_rows` rows and `max_bytes` bytes, or a single row of more bytes.
    """
    before = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    start = 0
    while start < len(sizes):
        by_bytes = int(before.searchsorted(before[start] + max_bytes, "right")) - 1
        stop = min(len(sizes), start + max_rows, max(start + 1, by_bytes))
        yield start, stop
        start = stop
