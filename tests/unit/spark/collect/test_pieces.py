"""Results are built in pieces of bounded bytes: an Arrow array holds 2 GiB at most."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.collect import task as collecting
from bedrock_spark.spark.collect.pieces import pieces_of
from tests.unit.collect_shard import LINES_KEY, collect_shard


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 20), st.integers(1, 100))
def test_every_row_is_in_one_piece_and_pieces_are_small(
    sizes: list[int], max_rows: int, max_bytes: int
) -> None:
    """In order; a row larger than the bound is a piece of its own; no piece ends too early."""
    pieces = list(pieces_of(np.array(sizes, np.int64), max_rows, max_bytes))
    assert [row for start, stop in pieces for row in range(start, stop)] == [*range(len(sizes))]
    for start, stop in pieces:
        assert 1 <= stop - start <= max_rows
        assert sum(sizes[start:stop]) <= max_bytes or stop - start == 1
        is_full = stop - start == max_rows or sum(sizes[start : stop + 1]) > max_bytes
        assert is_full or stop == len(sizes)


@pytest.mark.parametrize("sharing", [1, 3])
def test_pieces_are_cut_by_the_bytes_of_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: int
) -> None:
    """Also if rows share a record: each of them has a copy of the answer. No row is lost."""
    batches: list[pa.RecordBatch] = []
    write_results = collecting.write_results

    def watched(
        storage: Any, key: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch], _: str
    ) -> None:
        def note() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                batches.append(batch)
                yield batch

        write_results(storage, key, schema, note())

    monkeypatch.setattr(collecting, "write_results", watched)
    monkeypatch.setattr(collecting, "_PIECE_BYTES", 10_000)
    ids = [f"{n:011d}" for n in range(60)]
    outputs = {i: {"content": [{"type": "text", "text": i * (n % 200)}]} for n, i in enumerate(ids)}
    lines = [json.dumps({"recordId": i, "modelOutput": o}) for i, o in outputs.items()]
    rows = [i for i in ids for _ in range(sharing)]
    _, results = collect_shard(str(tmp_path), rows, {LINES_KEY: "\n".join(lines).encode()})
    assert [row["record_id"] for row in results] == rows
    assert [json.loads(row["model_output"]) for row in results] == [outputs[i] for i in rows]
    for batch in batches:
        answers = sum(len(text) for text in batch["model_output"].to_pylist())
        assert answers <= 10_000
    assert len(batches) >= sharing * sum(len(str(o)) for o in outputs.values()) // 10_000 > 1
