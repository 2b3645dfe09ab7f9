"""Filtered rows for elsewhere: as CSV, and as the source of another run."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from bedrock_spark.browse.export import csv_of, source_of
from bedrock_spark.browse.row_filter import ErrorGroup, RowFilter
from bedrock_spark.config import parse_config
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.reasons import pattern_of
from bedrock_spark.run_folder import layout
from bedrock_spark.ui.rows_view import cell
from tests.unit.browse.run_of_rows import SCHEMA, opened, row, shard, write_run
from tests.unit.fakes import config_values


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_csv_has_all_wanted_rows_with_all_columns(tmp_path: Path) -> None:
    rows = [row(n, text='said "x",\nand left' if n % 2 else None) for n in range(3_000)]
    run = opened(write_run(tmp_path, {shard(0): rows, shard(1): [row(9, "error")]}))
    pieces = [*csv_of(run, RowFilter(outcomes=("ok",)))]
    assert len(pieces) > 3
    found = read(b"".join(pieces))
    assert list(found[0]) == SCHEMA.names
    assert [each["ticket_id"] for each in found] == [f"T-{n}" for n in range(3_000)]
    assert found[1]["text"] == 'said "x",\nand left'


def test_csv_of_no_row_is_a_header(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, {shard(0): [row(0)]}))
    found = b"".join(csv_of(run, RowFilter(text="nothing"))).decode()
    assert [name.strip('"') for name in found.strip().split(",")] == SCHEMA.names


def test_csv_of_one_unit_and_of_a_sample(tmp_path: Path) -> None:
    run = opened(write_run(tmp_path, {shard(i): [row(i)] for i in range(60)}))
    one = read(b"".join(csv_of(run, RowFilter(), unit=shard(3))))
    assert [each["ticket_id"] for each in one] == ["T-3"]
    assert len(read(b"".join(csv_of(run, RowFilter(), is_sample=True)))) == 24


def test_csv_that_would_not_be_whole_raises(tmp_path: Path) -> None:
    """A unit that is missing is no reason to write fewer rows."""
    run = opened(write_run(tmp_path, {shard(i): [row(i)] for i in range(3)}))
    (tmp_path / layout.results_key(shard(2))).unlink()
    pieces = csv_of(run, RowFilter())
    with pytest.raises(RunFolderError, match=f"{shard(2)} has no results"):
        list(pieces)


def source(wanted: RowFilter) -> tuple[str, dict[str, Any]]:
    """Return the text of a source, and its values, which a config takes."""
    config = parse_config(config_values())
    text = source_of("s3://my-bucket/runs/x", config, wanted, SCHEMA)
    values = yaml.safe_load(text)["source"]
    parse_config({**config_values(), "source": {**values, "key": ["ticket_id"]}})
    return text, values


def test_all_rows_are_a_source() -> None:
    assert source(RowFilter())[1] == {"run": "s3://my-bucket/runs/x", "outcome": ["all"]}


def test_conditions_become_sql() -> None:
    wanted = RowFilter(("ok", "invalid"), None, "label", "it's", "O'Neil \\ 50%")
    text, values = source(wanted)
    assert values["outcome"] == ["ok", "invalid"]
    assert values["where"].startswith(
        r"`label` = 'it\'s' AND (contains(lower(`ticket_id`), 'o\'neil \\ 50%') OR contains("
    )
    assert "when that run is done" in text


@pytest.mark.parametrize(
    ("column", "value", "condition"),
    [
        ("urgency", "3", "`urgency` = 3"),
        ("urgency", "x", "cast(`urgency` AS string) = 'x'"),
        ("cost_usd", "0.5", "`cost_usd` = CAST('0.5' AS DOUBLE)"),
        ("cost_usd", "0.00000774", "`cost_usd` = CAST('7.74e-06' AS DOUBLE)"),
        ("cost_usd", "much", "false"),
        ("label", "", "coalesce(cast(`label` AS string), '') = ''"),
    ],
)
def test_a_value_is_compared_in_its_type(column: str, value: str, condition: str) -> None:
    assert source(RowFilter(column=column, value=value))[1]["where"] == condition


def test_a_group_of_errors_becomes_a_pattern() -> None:
    message = pattern_of('call 17 of "x" took 100% of my_time\nand\\more')
    text, values = source(RowFilter(error=ErrorGroup("error", 429, message)))
    assert values["outcome"] == ["error"]
    assert values["where"] == (
        "`error_code` = 429 AND "
        r"`error_message` LIKE 'call%of%took%\\%%of%my\\_time%and\\\\more'"
    )
    assert "ids, numbers and quoted values" in text
    assert source(RowFilter(error=ErrorGroup("missing", None, "")))[1]["where"] == (
        "`error_code` IS NULL"
    )


def test_an_outcome_that_the_group_of_errors_does_not_have_takes_no_row() -> None:
    wanted = RowFilter(outcomes=("ok",), error=ErrorGroup("error", 400, "bad"))
    assert source(wanted)[1]["where"].startswith("false AND ")


@pytest.mark.parametrize("value", ["\u0663", "007", "9" * 60, "true"])
def test_what_is_no_whole_number_of_spark_is_compared_as_text(value: str) -> None:
    schema = pa.schema([("rank", pa.int32())])
    config = parse_config(config_values())
    text = source_of("s3://my-bucket/runs/x", config, RowFilter(column="rank", value=value), schema)
    where = yaml.safe_load(text)["source"]["where"]
    assert where == f"cast(`rank` AS string) = '{value}'"


@pytest.mark.parametrize(
    ("value", "shown", "condition"),
    [
        (7.74e-06, "0.00000774", "CAST('7.74e-06' AS DOUBLE)"),
        (1.0, "1.0", "CAST('1.0' AS DOUBLE)"),
        (date(2026, 1, 2), "2026-01-02", "CAST('2026-01-02' AS DATE)"),
        (
            datetime(2026, 1, 2, 3, tzinfo=UTC),
            "2026-01-02T03:00:00+00:00",
            "CAST('2026-01-02T03:00:00+00:00' AS TIMESTAMP)",
        ),
        (
            datetime(2026, 1, 2, 3, 4, 5, 6),
            "2026-01-02T03:04:05.000006",
            "CAST('2026-01-02T03:04:05.000006' AS TIMESTAMP_NTZ)",
        ),
    ],
)
def test_a_value_is_found_as_a_page_shows_it(value: Any, shown: str, condition: str) -> None:
    assert cell(value) == shown
    rows = pa.table({"at": pa.array([None, value])})
    config = parse_config(config_values())
    wanted = RowFilter(column="at", value=shown)
    assert wanted.mask(rows, config.results).tolist() == [False, True]
    assert not RowFilter(column="at", value="soon").mask(rows, config.results).any()
    source = yaml.safe_load(source_of("s3://my-bucket/x", config, wanted, rows.schema))["source"]
    assert source["where"] == f"`at` = {condition}"
