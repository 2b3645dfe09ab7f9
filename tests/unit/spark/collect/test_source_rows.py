"""Source rows are taken by their positions, from memory or from a file."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.spark.collect import source_rows
from bedrock_spark.spark.collect.source_rows import SourceRows, read_source_rows
from bedrock_spark.spark.row_bytes import row_bytes

VALUES = {
    "text": (pa.string(), st.text(max_size=5)),
    "number": (pa.int64(), st.integers(-9, 9)),
    "flag": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.just(dt.date(2026, 11, 26))),
    "list": (pa.list_(pa.string()), st.lists(st.text(max_size=2), max_size=3)),
    "struct": (pa.struct([("a", pa.int32())]), st.fixed_dictionaries({"a": st.integers(0, 9)})),
    "map": (pa.map_(pa.string(), pa.int32()), st.just([("k", 1)])),
    "bytes": (pa.binary(), st.binary(max_size=4)),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(0, 12))
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True))
    columns = {"id": pa.array([str(n) for n in range(count)], pa.string())}
    for name in names:
        kind, values = VALUES[name]
        drawn = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        columns[name] = pa.array(drawn, kind)
    return pa.table(columns)


@settings(max_examples=60)
@given(tables(), st.integers(1, 5), st.integers(1, 13), st.sampled_from([0, 40, 10**9]), st.data())
def test_rows_are_those_of_the_file(
    table: pa.Table, batch: int, group: int, in_memory: int, data: st.DataObject
) -> None:
    """In the order of the positions, however they are held; the column apart is not among them."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_rows, "IN_MEMORY", in_memory)
        patch.setattr(source_rows, "_BATCH_ROWS", batch)
        path = Path(name, "rows.parquet")
        pq.write_table(table, path, row_group_size=group)
        rows, (ids,) = read_source_rows(path, Path(name), ("id",))
        kept = table.drop_columns(["id"])
        assert ids == table["id"].to_pylist()
        assert rows.schema == kept.schema
        assert rows.sizes.tolist() == sizes_of(kept)
        if len(table) and kept.num_columns:
            places = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=20))
            taken = pa.Table.from_arrays(rows.take(places), schema=rows.schema)
            assert taken.to_pylist() == kept.take(places).to_pylist()


def sizes_of(table: pa.Table) -> list[int]:
    batches: list[pa.RecordBatch] = table.combine_chunks().to_batches()
    return [size for batch in batches for size in row_bytes(batch).tolist()]


def test_rows_without_columns_have_no_columns(tmp_path: Path) -> None:
    """All columns of the source may be left out of the results."""
    rows = SourceRows(pa.schema([]), [], tmp_path, 2)
    assert rows.take([0, 1]) == []
    assert rows.sizes.tolist() == [0, 0]


def test_many_bytes_of_rows_are_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the folder that was given for them."""
    monkeypatch.setattr(source_rows, "IN_MEMORY", 1_000_000)
    rows, step = 10_000, 500
    before = pa.total_allocated_bytes()

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, step):
            texts = pa.array([f"{n:01000d}" for n in range(start, start + step)])
            yield pa.record_batch([texts], names=["text"])

    held = SourceRows(pa.schema([("text", pa.string())]), batches(), tmp_path, rows)
    assert held.sizes.sum() > 10_000_000
    assert pa.total_allocated_bytes() - before < 500_000
    assert [path.name for path in tmp_path.iterdir()] == ["source-rows"]
    (texts,) = held.take([rows - 1, 0, 5_000])
    assert [int(text) for text in texts.to_pylist()] == [rows - 1, 0, 5_000]
