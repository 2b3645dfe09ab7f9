"""Pages of rows: which are found, where the next page begins, and what is read for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.browse import row_pages
from bedrock_spark.browse.row_filter import ErrorGroup, RowFilter
from bedrock_spark.browse.row_pages import RowPage, read_page
from bedrock_spark.browse.unit_file import Place, UnitFile
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder import layout
from tests.unit.browse.run_of_rows import REJECTS, opened, row, shard, write_run

BUSY = {"error_code": 429, "error_message": 'call 17 of "x" was throttled'}


def numbers(page: RowPage) -> list[int]:
    return [int(found.values["ticket_id"][2:]) for found in page.rows]


def units(shards: int, rows: int) -> dict[str, list[dict[str, Any]]]:
    return {
        shard(i): [row(n, label=f"l{n % 3}") for n in range(i * rows, (i + 1) * rows)]
        for i in range(shards)
    }


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name the units whose results are opened."""
    seen: list[str] = []

    class Counted(UnitFile):
        def __init__(self, storage: Any, unit: str, source: Any = None) -> None:
            seen.append(unit)
            super().__init__(storage, unit, source)

    monkeypatch.setattr(row_pages, "UnitFile", Counted)
    return seen


def test_pages_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    """Through row groups and units; a page that is full says where the next row is."""
    run = opened(write_run(tmp_path, units(3, 25), group_rows=10))
    start, seen, pages = None, [], 0
    while True:
        page = read_page(run, RowFilter(), start, most=7)
        seen += numbers(page)
        pages += 1
        if page.next is None:
            break
        assert not page.is_cut
        start = page.next
    assert seen == list(range(75))
    assert pages == 11


def test_the_last_page_has_no_next_one(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(1, 7)))
    assert read_page(run, RowFilter(), most=7).next is None


def test_three_shards_among_many_are_found_without_the_others(
    tmp_path: Path, files: list[str]
) -> None:
    made = units(60, 4)
    for i in (7, 31, 59):
        made[shard(i)][2] = row(1_000 + i, "error", **BUSY)
    run = opened(write_run(tmp_path, made))
    page = read_page(run, RowFilter(outcomes=("error",)))
    assert numbers(page) == [1007, 1031, 1059]
    assert page.next is None
    assert files == [shard(7), shard(31), shard(59)]


def test_a_group_of_errors_has_its_rows(tmp_path: Path, files: list[str]) -> None:
    """Messages of one pattern, whatever their numbers and quoted values."""
    made = units(6, 3)
    made[shard(1)][0] = row(100, "error", **BUSY)
    made[shard(4)][1] = row(101, "error", **BUSY | {"error_message": "call 3 of 'y' was throttled"})
    made[shard(4)][2] = row(102, "error", error_code=500, error_message="call 3 was throttled")
    made[shard(5)][2] = row(103, "truncated", error_message="cut off")
    run = opened(write_run(tmp_path, made))
    (group,) = [group for group, _ in run.counts.groups if group.code == 429]
    assert ErrorGroup.of(group.text) == group
    assert numbers(read_page(run, RowFilter(error=group))) == [100, 101]
    assert files == [shard(1), shard(4)]


def test_a_reason_that_a_shard_does_not_name_is_found_in_its_others(tmp_path: Path) -> None:
    """A shard names its ten commonest reasons, and counts the rest."""
    words = [chr(ord("a") + i) * 3 for i in range(12)]
    rows = [row(n, "error", error_code=400, error_message=w) for n, w in enumerate(words)]
    run = opened(write_run(tmp_path, {shard(0): rows, shard(1): [row(50)]}))
    named = {group.message for group, _ in run.counts.groups}
    lost = min(set(words) - named)
    assert run.counts.other_rows == 2
    page = read_page(run, RowFilter(error=ErrorGroup("error", 400, lost)))
    assert [found.values["error_message"] for found in page.rows] == [lost]


def test_a_label_is_found_by_counts(tmp_path: Path, files: list[str]) -> None:
    made = units(20, 5)
    made[shard(13)][4] = row(500, label="rare")
    made[REJECTS] = [row(900, "rejected", error_message="body: is null")]
    run = opened(write_run(tmp_path, made))
    assert dict(run.counts.labels["label"])["rare"] == 1
    assert numbers(read_page(run, RowFilter(column="label", value="rare"))) == [500]
    assert files == [shard(13)]


def test_a_value_without_counts_is_found_by_statistics(tmp_path: Path) -> None:
    """A column of the source, or of numbers: row groups that cannot have it are not read."""
    run = opened(write_run(tmp_path, units(5, 30), group_rows=10))
    page = read_page(run, RowFilter(column="output_tokens", value="77"))
    assert numbers(page) == [77]
    assert page.groups == 1
    assert numbers(read_page(run, RowFilter(column="ticket_id", value="T-149"))) == [149]
    assert not read_page(run, RowFilter(column="output_tokens", value="many")).rows


def test_a_text_is_found_in_source_and_answers_in_any_case(tmp_path: Path) -> None:
    made = units(2, 5)
    made[shard(0)][1] = row(1, text="The Printer is broken")
    made[shard(1)][3] = row(8, body="my printer")
    run = opened(write_run(tmp_path, made))
    assert numbers(read_page(run, RowFilter(text="PRINTER"))) == [1, 8]
    assert not read_page(run, RowFilter(text="never searched")).rows
    assert not read_page(run, RowFilter(text="print.r")).rows


def test_a_page_ends_when_it_has_read_enough_and_says_where_to_go_on(tmp_path: Path) -> None:
    made = units(4, 30)
    made[shard(3)][29] = row(500, text="needle")
    run = opened(write_run(tmp_path, made, group_rows=10))
    wanted, start, read = RowFilter(text="needle"), None, 0
    for _ in range(2):
        page = read_page(run, wanted, start, most_groups=5)
        assert (page.rows, page.is_cut, page.groups) == ((), True, 5)
        start, read = page.next, read + page.read_rows
    assert start == Place(shard(3), 1, 0)
    page = read_page(run, wanted, start, most_groups=5)
    assert numbers(page) == [500]
    assert read + page.read_rows == 120
    assert not page.is_cut


def test_null_is_a_value(tmp_path: Path) -> None:
    made = {shard(0): [row(0, label="x"), row(1), row(2, label="")]}
    run = opened(write_run(tmp_path, made))
    assert numbers(read_page(run, RowFilter(column="label"))) == [1, 2]


def test_conditions_hold_together(tmp_path: Path) -> None:
    made = units(2, 4)
    made[shard(1)] = [row(n, "error", text="needle", **BUSY) for n in (10, 11)]
    made[shard(0)][0] = row(0, text="needle")
    run = opened(write_run(tmp_path, made))
    wanted = RowFilter(outcomes=("error",), column="ticket_id", value="T-11", text="needle")
    assert numbers(read_page(run, wanted)) == [11]


def test_one_unit_alone_can_be_read(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(3, 4)))
    assert numbers(read_page(run, RowFilter(), unit=shard(1))) == [4, 5, 6, 7]
    with pytest.raises(ConfigError, match="has no such shard"):
        read_page(run, RowFilter(), unit="shard-99999-00")


def test_rows_that_are_collected_are_shown_while_others_wait(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(3, 4), collected=[shard(1)]))
    assert numbers(read_page(run, RowFilter())) == [4, 5, 6, 7]
    assert (run.counts.collected, len(run.counts.units)) == (1, 3)


def test_without_counts_all_units_are_tried(tmp_path: Path) -> None:
    """Such as after `clean --keep results`, which deletes the reconciliations."""
    run = write_run(tmp_path, units(2, 3))
    for path in (tmp_path / layout.RECONCILIATION).iterdir():
        path.unlink()
    assert numbers(read_page(opened(run), RowFilter())) == list(range(6))


def test_results_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, units(3, 2))
    (tmp_path / layout.results_key(shard(0))).unlink()
    (tmp_path / layout.results_key(shard(1))).write_bytes(b"PAR1 no parquet")
    page = read_page(opened(run), RowFilter())
    assert numbers(page) == [4, 5]
    assert [problem.split(": ")[1].split(" ")[0] for problem in page.problems] == [shard(0), "the"]
    assert "run bedrock-spark collect" in page.problems[0]
    assert f"the results of {shard(1)} are damaged" in page.problems[1]


def test_rows_behind_a_damaged_row_group_are_shown(tmp_path: Path) -> None:
    """The footer of the first unit is whole, its values are not."""
    run = write_run(tmp_path, units(2, 2))
    path = tmp_path / layout.results_key(shard(0))
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * (len(data) // 3) + data[4 + len(data) // 3 :])
    page = read_page(opened(run), RowFilter())
    assert numbers(page) == [2, 3]
    assert page.next is None
    (problem,) = page.problems
    assert f"the results of {shard(0)} are damaged" in problem


def test_a_column_that_does_not_exist_is_named(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, units(1, 2)))
    with pytest.raises(ConfigError, match="column nope: the results have no such column; they hav"):
        read_page(run, RowFilter(column="nope", value="x"))


@pytest.mark.parametrize("text", ["", "shard-00001-00", "shard-1.2", "../x.0.0", "x.1.2", "a.b.c"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not the place of a row"):
        Place.of(text)


def test_a_place_is_a_text_and_back() -> None:
    for place in (Place(shard(42), 3, 17), Place(REJECTS), Place("kept-00001-02", 0, 9)):
        assert Place.of(str(place)) == place
