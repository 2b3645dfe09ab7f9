"""Every row that is written is read in its bucket, in the order of the hashes."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.spark.local_shuffle import pieces
from bedrock_spark.spark.local_shuffle.pieces import PieceWriter, merged_rows
from bedrock_spark.spark.prepare.columns import HASH
from bedrock_spark.storage.scratch import scratch_folder

SCHEMA = pa.schema([("text", pa.string()), ("tags", pa.list_(pa.int64()))])
HASHES = st.one_of(
    st.integers(-3, 3), st.integers(-(1 << 63), (1 << 63) - 1)
)  # some occur several times
BATCHES = st.lists(st.lists(HASHES, max_size=40), max_size=5)


def batch_of(hashes: list[int], first: int) -> pa.RecordBatch:
    """Return a row for each hash: its number, from `first` on, is its text."""
    numbers = range(first, first + len(hashes))
    texts = [None if n % 7 == 3 else f"{n}" * (n % 11) for n in numbers]
    return pa.RecordBatch.from_arrays(
        [pa.array(texts), pa.array([[n] for n in numbers], pa.list_(pa.int64()))], schema=SCHEMA
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.lists(BATCHES, max_size=3),
    buckets=st.integers(1, 7),
    size=st.sampled_from([1, 60, 300, 10**6]),
)
def test_all_rows_come_in_their_buckets_by_their_hashes(
    monkeypatch: pytest.MonkeyPatch, files: list[list[list[int]]], buckets: int, size: int
) -> None:
    monkeypatch.setattr(pieces, "_BATCH_BYTES", size)
    written: list[tuple[int, str | None, int]] = []
    with scratch_folder("test") as folder:
        for number, batches in enumerate(files):
            with PieceWriter(folder / f"{number:05d}", SCHEMA, buckets) as writer:
                for hashes in batches:
                    batch = batch_of(hashes, len(written))
                    writer.add(batch, np.array(hashes, np.int64))
                    rows = zip(hashes, *(c.to_pylist() for c in batch.columns), strict=True)
                    written += [(row_hash, text, tags[0]) for row_hash, text, tags in rows]
        read: Counter[tuple[int, str | None, int]] = Counter()
        for bucket in range(buckets):
            hashes = []
            for batch in merged_rows(folder, bucket, buckets):
                assert batch.num_rows > 0
                batch.validate(full=True)
                assert batch.schema.names == [HASH, *SCHEMA.names]
                columns = (column.to_pylist() for column in batch.columns)
                rows = [(h, text, tags[0]) for h, text, tags in zip(*columns, strict=True)]
                read.update(rows)
                hashes += [row[0] for row in rows]
            assert hashes == sorted(hashes)
            assert set(buckets_of(np.array(hashes, np.int64), buckets).tolist()) <= {bucket}
    assert read == Counter(written)


def test_a_batch_of_merged_rows_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces there are."""
    monkeypatch.setattr(pieces, "_BATCH_BYTES", 10_000)
    dice = np.random.default_rng(3)
    schema = pa.schema([("text", pa.string())])
    with PieceWriter(tmp_path / "0", schema, 2) as writer:
        for _ in range(30):
            batch = pa.RecordBatch.from_arrays([pa.array(["x" * 90] * 50)], schema=schema)
            writer.add(batch, dice.integers(-(1 << 62), 1 << 62, 50))
    sizes = [batch.nbytes for bucket in (0, 1) for batch in merged_rows(tmp_path, bucket, 2)]
    assert len(sizes) > 10
    assert max(sizes) <= 12_000  # the first rows of a bucket are not exactly as long as all


def test_a_file_of_a_task_that_fails_does_not_appear(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), PieceWriter(tmp_path / "0", SCHEMA, 2) as writer:
        writer.add(batch_of([1, 2, 3], 0), np.array([1, 2, 3], np.int64))
        assert len(list(tmp_path.iterdir())) == 1
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
