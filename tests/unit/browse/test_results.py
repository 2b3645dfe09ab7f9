"""The results of a run without Spark: as Arrow, and as files for other programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bedrock_spark import open_results, read_results
from bedrock_spark.cli import main
from bedrock_spark.errors import ConfigError, ExitCode, RunFolderError
from bedrock_spark.run_folder import layout
from tests.unit.browse.finished_run import SCHEMA, finished_run, rows_of, write_unit


def test_all_rows_are_read_in_the_order_of_units(tmp_path: Path) -> None:
    finished_run(tmp_path)
    table = read_results(str(tmp_path))
    assert table.schema.names == SCHEMA.names
    assert table.slice(0, 12).to_pylist() == rows_of(0, 12)
    assert table.column("outcome").to_pylist()[12:] == ["rejected"]


def test_columns_and_outcomes_are_chosen(tmp_path: Path) -> None:
    finished_run(tmp_path)
    table = read_results(str(tmp_path), ["text", "ticket_id"], ["error", "rejected"])
    assert table.to_pylist() == [{"text": None, "ticket_id": n} for n in (2, 6, 10, 12)]


def test_one_shard_at_a_time_is_read(tmp_path: Path) -> None:
    """A shard that is gone is missed only when its turn comes."""
    finished_run(tmp_path, (3, 3))
    reader = open_results(str(tmp_path))
    (tmp_path / layout.results_key("shard-00001-00")).unlink()
    assert next(iter(reader)).num_rows == 3
    with pytest.raises(RunFolderError, match="shard-00001-00 has no results yet"):
        reader.read_all()


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    finished_run(tmp_path)
    with pytest.raises(ConfigError, match="no column txt; they have ticket_id, opened"):
        open_results(str(tmp_path), ["txt"])


def test_shards_with_other_columns_are_refused(tmp_path: Path) -> None:
    finished_run(tmp_path)
    unit = "shard-00001-00"
    other = pq.read_table(tmp_path / layout.results_key(unit)).drop_columns(["embedding"])
    write_unit(tmp_path, unit, other)
    with pytest.raises(RunFolderError, match="run collect again"):
        read_results(str(tmp_path))


def test_the_outcome_has_the_prefix_of_the_config(tmp_path: Path) -> None:
    run = finished_run(tmp_path, results={"prefix": "llm_"})
    for unit in ("shard-00000-00", "shard-00001-00", "rejects-00000"):
        table = pq.read_table(tmp_path / layout.results_key(unit))
        write_unit(tmp_path, unit, table.rename_columns([f"llm_{n}" for n in table.column_names]))
    assert read_results(run.config.run_uri, outcomes=["ok"]).num_rows == 6


def command(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["results", *arguments])
    assert result.exit_code == ExitCode.DONE, result.output
    return result.stdout


def test_csv_has_a_header_and_json_for_lists(tmp_path: Path) -> None:
    finished_run(tmp_path)
    rows = list(csv.DictReader(io.StringIO(command(str(tmp_path), "--format", "csv"))))
    assert len(rows) == 13
    assert rows[1]["text"] == 'said "1",\nand left'
    assert json.loads(rows[0]["embedding"]) == [0.5, 1.0]


def test_json_lines_have_every_column(tmp_path: Path) -> None:
    finished_run(tmp_path)
    text = command(str(tmp_path), "--format", "jsonl", "--outcome", "ok", "--limit", "4")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["ticket_id"] for row in rows] == [0, 1, 4, 5]
    assert rows[0]["amount"] == "0.00"
    assert rows[0]["opened"] == "2026-11-01T00:00:00+00:00"


def test_a_parquet_file_is_written(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    out = tmp_path / "out.parquet"
    said = command(str(tmp_path / "run"), "--format", "parquet", "--out", str(out))
    assert said == f"{out}: 13 rows\n"
    assert pq.read_table(out).to_pylist()[:12] == rows_of(0, 12)


def test_a_table_shows_the_first_rows(tmp_path: Path) -> None:
    finished_run(tmp_path)
    text = command(str(tmp_path), "--limit", "2")
    assert "00000000001" in text
    assert "00000000002" not in text


def test_a_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["results", str(tmp_path)])
    assert result.exit_code == ExitCode.FAILED
    assert "holds no run" in result.stderr


def test_duckdb_queries_the_reader(tmp_path: Path) -> None:
    """The example in docs/results.md: DuckDB finds the variable by its name."""
    finished_run(tmp_path)
    answers = open_results(str(tmp_path), columns=["outcome", "ticket_id"])
    rows = duckdb.sql("SELECT outcome, count(*) FROM answers GROUP BY outcome").fetchall()
    assert answers is not None
    assert dict(rows) == {"ok": 6, "error": 3, "truncated": 3, "rejected": 1}


def test_json_has_the_rows_of_the_table(tmp_path: Path) -> None:
    """The first 20, or as many as --limit says."""
    finished_run(tmp_path)
    shown = CliRunner().invoke(main, ["results", str(tmp_path), "--json", "--limit", "3"])
    rows = json.loads(shown.stdout)["rows"]
    assert [row["ticket_id"] for row in rows] == [0, 1, 2]
    assert set(rows[0]) == set(SCHEMA.names)


@pytest.mark.parametrize("option", [["--format", "csv"], ["--out", "a.json"]])
def test_json_is_not_a_file(tmp_path: Path, option: list[str]) -> None:
    """Two forms at once would hide one of them."""
    failed = CliRunner().invoke(main, ["results", str(tmp_path), "--json", *option])
    assert failed.exit_code == ExitCode.USAGE
    assert "leave out --format and --out" in failed.output
