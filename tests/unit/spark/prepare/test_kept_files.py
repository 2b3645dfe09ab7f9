"""Rows with kept answers: each has a line, whatever is not known of its answer."""

from __future__ import annotations

import datetime as dt
import io
from itertools import groupby
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from bedrock_spark.answers.lookup import _FOUND
from bedrock_spark.outputs.lines import Note, OutputRecord, read_lines
from bedrock_spark.run_folder import layout
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.shards.plan import Bounds
from bedrock_spark.spark.prepare.kept_files import KeptChunk, KeptFiles, kept_lines
from bedrock_spark.storage import LocalStorage

PREPARE_ID = "0a1b2c3d4e5f"
ROWS = pa.schema([(ROW_RECORD_ID, pa.string()), ("n", pa.int64())])

AT = 1_700_000_000.123456
WHOLE = {
    "request_digest": "d" * 64,
    "answered_at": dt.datetime.fromtimestamp(AT, dt.UTC),
    "model_id": 'a "model"',
    "run_id": "run-1",
    "model_output": '{"text":"x"}',
}


@pytest.mark.parametrize(
    ("unknown", "note"),
    [
        ({}, Note('a "model"', AT, "run-1", "d" * 64)),
        ({"answered_at": None}, Note('a "model"', None, "run-1", "d" * 64)),
        ({"model_id": None, "run_id": None}, Note(None, AT, None, "d" * 64)),
    ],
)
def test_an_answer_has_its_line_though_another_tool_left_values_out(
    unknown: dict[str, Any], note: Note
) -> None:
    answers = pa.Table.from_pylist([WHOLE | unknown, WHOLE], _FOUND)
    lines = kept_lines(pa.array(["first", "second"]), answers).to_pylist()
    first, second = (next(read_lines(line, has_notes=True)) for line in lines)
    assert isinstance(first, OutputRecord)
    assert isinstance(second, OutputRecord)
    assert (first.record_id, first.output, first.note) == ("first", b'{"text":"x"}', note)
    assert second.record_id == "second"


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), max_size=5),
    st.integers(1, 5),
    st.integers(1, 60),
)
def test_each_unit_has_its_rows_and_one_line_for_each_of_their_records(
    tmp_path_factory: pytest.TempPathFactory,
    chunks: list[list[int]],
    max_records: int,
    max_bytes: int,
) -> None:
    """In any chunks, cut anywhere: a record may begin in one unit, and go on in the next.

    The bytes of a unit are those of its file: a later command checks them.
    """
    storage = LocalStorage(str(tmp_path_factory.mktemp("run")))
    bounds = Bounds(max_records, max_bytes, 1, 3 * max_records, 1)
    files = KeptFiles(storage, PREPARE_ID, 3, bounds, ROWS, [ROW_RECORD_ID])
    ordered = iter(sorted(record for chunk in chunks for record in chunk))
    written: list[tuple[str, int]] = []
    for chunk in chunks:
        records = [next(ordered) for _ in chunk]
        ids = [f"record-{record}" for record in records]
        lines = [f'{{"recordId":"{i}","modelOutput":{{"x":"{i}"}}}}\n' for i, _ in groupby(ids)]
        numbers = range(len(written), len(written) + len(ids))
        written += zip(ids, numbers, strict=True)
        is_first = np.append(True, np.diff(records) != 0)
        rows = pa.RecordBatch.from_pydict({ROW_RECORD_ID: ids, "n": list(numbers)}, ROWS)
        sizes = np.ones(len(ids), np.int64)
        line_column = pa.array([line.encode() for line in lines], pa.large_binary())
        files.write(KeptChunk(rows, sizes, np.cumsum(is_first) - 1, line_column))
    files.finish()
    found: list[tuple[str, int]] = []
    for unit in files.units:
        data = storage.read(layout.kept_key(unit.unit, PREPARE_ID))
        table = pq.read_table(io.BytesIO(storage.read(layout.rows_key(unit.unit, PREPARE_ID))))
        own = list(zip(*(table.column(n).to_pylist() for n in ROWS.names), strict=True))
        found += own
        records_of = [one.record_id for one in read_lines(data) if isinstance(one, OutputRecord)]
        assert records_of == [record for record, _ in groupby(record for record, _ in own)]
        assert (unit.rows, unit.records, unit.bytes) == (len(own), len(records_of), len(data))
    assert found == written
