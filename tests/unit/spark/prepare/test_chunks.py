"""A chunk of a lookup is bounded by rows, by the bytes of rows, and by those of their answers."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from bedrock_spark.spark.prepare.lookup_task import _chunks, chunk_rows


@pytest.mark.parametrize(
    ("answer_bytes", "rows"),
    [(0, 20_000), (1_000, 20_000), (20_000, 1_600), (1_500_000, 21), (1 << 40, 1)],
)
def test_long_answers_make_small_chunks(answer_bytes: int, rows: int) -> None:
    assert chunk_rows(answer_bytes) == rows


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 20))
def test_chunks_have_all_rows_in_their_order(sizes: list[int], most: int) -> None:
    numbers = iter(range(sum(sizes)))
    batches = [
        pa.RecordBatch.from_pydict({"n": [next(numbers) for _ in range(size)]}) for size in sizes
    ]
    chunks = list(_chunks(batches[0], iter(batches[1:]), most))
    assert [n for chunk in chunks for n in chunk.column(0).to_pylist()] == list(range(sum(sizes)))
    assert all(0 < chunk.num_rows <= most for chunk in chunks)
