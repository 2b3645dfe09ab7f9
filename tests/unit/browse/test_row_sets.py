"""The rows of one unit or of a sample: counted and sorted as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.browse.row_filter import RowFilter
from bedrock_spark.browse.row_sets import (
    SAMPLE_GROUPS,
    Order,
    RowSet,
    groups_of,
    read_set,
    sampled_groups,
)
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.run_folder import layout
from tests.unit.browse.run_of_rows import opened, row, shard, write_run


def numbers(found: RowSet) -> list[int]:
    return [int(each.values["ticket_id"][2:]) for each in found.rows]


def units(shards: int, rows: int) -> dict[str, list[dict[str, Any]]]:
    return {shard(i): [row(i * rows + n) for n in range(rows)] for i in range(shards)}


def test_a_unit_is_sorted_page_by_page(tmp_path: Path) -> None:
    """Rows without a value come last, and equal ones keep their order."""
    tokens = [5, None, 9, 1, 5, 7, None]
    rows = [row(n, output_tokens=t) for n, t in enumerate(tokens)]
    run = opened(write_run(tmp_path, {shard(0): rows, shard(1): [row(50)]}, group_rows=3))
    order = Order("output_tokens", is_descending=True)
    pages = [
        read_set(run, RowFilter(), unit=shard(0), order=order, first=first, most=3)
        for first in (0, 3, 6)
    ]
    assert [n for page in pages for n in numbers(page)] == [2, 5, 0, 4, 3, 1, 6]
    assert {page.found for page in pages} == {7}
    up = read_set(run, RowFilter(), unit=shard(0), order=Order("output_tokens"), most=3)
    assert numbers(up) == [3, 0, 4]
    assert [str(each.place) for each in up.rows] == [
        f"{shard(0)}.{p}" for p in ("1.0", "0.0", "1.1")
    ]


def test_a_sample_is_spread_over_the_units_and_the_same_every_time(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(100, 6), group_rows=2))
    chosen = sampled_groups(run, RowFilter())
    assert len(chosen) == SAMPLE_GROUPS
    assert chosen[0] == (shard(0), 1)
    assert chosen[-1][0] > shard(90)
    groups = [(file.unit, group) for file, group in groups_of(run, RowFilter(), None)]
    assert groups == [(file.unit, group) for file, group in groups_of(run, RowFilter(), None)]
    assert {group for _, group in groups} == {0, 1, 2}
    found = read_set(run, RowFilter(), order=Order("output_tokens", is_descending=True))
    assert (found.found, found.read_rows, found.units) == (48, 48, 24)
    assert numbers(found) == sorted(numbers(found), reverse=True)


def test_a_small_run_is_sampled_as_a_whole(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(3, 6), group_rows=2))
    found = read_set(run, RowFilter())
    assert numbers(found) == list(range(18))
    assert found.found == 18


def test_a_sample_is_one_of_the_units_that_may_have_the_rows(tmp_path: Path) -> None:
    made = units(50, 3)
    made[shard(17)][1] = row(500, "truncated", error_message="cut off")
    run = opened(write_run(tmp_path, made))
    found = read_set(run, RowFilter(outcomes=("truncated",)))
    assert numbers(found) == [500]
    assert found.units == 1


@pytest.mark.parametrize(("column", "said"), [("nope", "no such column"), ("", "no such column")])
def test_what_cannot_be_sorted_is_refused(tmp_path: Path, column: str, said: str) -> None:
    run = opened(write_run(tmp_path, units(1, 3)))
    with pytest.raises(ConfigError, match=said):
        read_set(run, RowFilter(), unit=shard(0), order=Order(column))


def test_nothing_that_is_wanted_is_no_row(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(2, 3)))
    found = read_set(run, RowFilter(text="nothing"), order=Order("ticket_id"))
    assert (found.rows, found.found, found.read_rows) == ((), 0, 6)


@pytest.mark.parametrize("order", [None, Order("output_tokens")])
def test_a_sample_leaves_out_a_unit_with_damaged_values(
    tmp_path: Path, order: Order | None
) -> None:
    """The footer of the first unit is whole, its values are not."""
    run = write_run(tmp_path, units(2, 2))
    path = tmp_path / layout.results_key(shard(0))
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * (len(data) // 2) + data[4 + len(data) // 2 :])
    found = read_set(opened(run), RowFilter(), order=order)
    assert numbers(found) == [2, 3]
    (problem,) = found.problems
    assert f"the results of {shard(0)} are damaged" in problem


def test_a_column_of_several_types_is_not_sorted(tmp_path: Path) -> None:
    """Such as when the config's results section has changed, and a collect was cut short."""
    run = write_run(tmp_path, units(2, 2))
    path = tmp_path / layout.results_key(shard(1))
    table = pq.read_table(path)
    place = table.schema.get_field_index("output_tokens")
    texts = table.column(place).cast(pa.string())
    pq.write_table(table.set_column(place, "output_tokens", texts), path)
    with pytest.raises(RunFolderError, match="sort output_tokens: the shards have different"):
        read_set(opened(run), RowFilter(), order=Order("output_tokens"))
