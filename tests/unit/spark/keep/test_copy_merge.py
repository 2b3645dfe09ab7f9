"""A merge into the copy looks only at files of the table with the same times and runs."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import pin_files
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.spark.keep import copy
from bedrock_spark.spark.keep.copy_merge import copy_statement
from tests.unit.answers.rows import answer, store_at, write

MOMENT = 1_790_000_000.123456


def test_the_ranges_of_new_answers_are_conditions_on_the_table(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer("a", at=MOMENT), answer("b", at=MOMENT + 60)])
    write(storage, [{**answer("c", at=5.0), "run_id": "it's \\ 2"}], label="run-2")
    statement = copy_statement("t", "v", copy._ranges(storage, pin_files(storage)))
    assert (
        " ON t.`answered_at` BETWEEN TIMESTAMP '1970-01-01 00:00:05.000000 UTC' AND "
        "TIMESTAMP '2026-09-21 14:14:20.123456 UTC' "
        "AND t.`run_id` BETWEEN 'it\\'s \\\\ 2' AND 'run-1' AND t.`body_hash` <=> "
    ) in statement


def test_many_files_are_not_opened_for_their_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "_MOST_OPENED", 1)
    storage = store_at(tmp_path)
    for number in range(2):
        write(storage, [answer("a")], label=f"run-{number}")
    assert copy._ranges(storage, pin_files(storage)) == {}
    assert "BETWEEN" not in copy_statement("t", "v", {})


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("answered_at", [1, None], pa.timestamp("us", "UTC")),
        ("answered_at", [1, 2], pa.timestamp("us")),
        ("answered_at", [1, 2], pa.timestamp("ns", "UTC")),
        ("run_id", ["a", None], pa.string()),
    ],
    ids=["a time is null", "without a zone", "in nanoseconds", "a run is null"],
)
def test_a_range_that_is_not_sure_is_no_condition(
    tmp_path: Path, column: str, values: list[Any], kind: pa.DataType
) -> None:
    """Such as of files of other tools. Without it, the whole table is compared."""
    storage = store_at(tmp_path)
    own = pa.Table.from_pylist([answer("a"), answer("b")], SCHEMA)
    place = own.schema.get_field_index(column)
    folder = storage.root / "answers"
    folder.mkdir()
    pq.write_table(own.set_column(place, column, pa.array(values, kind)), folder / "x.parquet")
    (file,) = pin_files(storage)
    with closing(OpenAnswers(storage, file)) as opened:
        assert opened.range_of(column) is None
    assert column not in copy._ranges(storage, [file])


def test_a_range_is_that_of_all_row_groups(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer(str(number), at=number) for number in range(5)])
    (file,) = pin_files(storage)
    moments = [dt.datetime.fromtimestamp(second, dt.UTC) for second in (0, 4)]
    with closing(OpenAnswers(storage, file)) as opened:
        assert opened.range_of("answered_at") == tuple(moments)
        assert opened.range_of("run_id") == ("run-1", "run-1")
