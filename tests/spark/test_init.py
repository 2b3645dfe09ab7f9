"""`bedrock-spark init` for sources that only Spark reads: tables, queries, folders of a lake."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pyspark.sql import SparkSession

from bedrock_spark.check import check_config
from bedrock_spark.cli import main
from bedrock_spark.errors import ExitCode
from bedrock_spark.spark import session

TYPES = (
    "ticket_id decimal(20,0), day date, at timestamp, body string, meta struct<a: int>, "
    "tags array<string>, score double, raw binary"
)


@pytest.fixture
def tickets(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of Parquet files, which is the view `init_tickets`, too."""
    rows = [
        (
            *(Decimal(10**18 + n), dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, n % 24)),
            *(f"Printer {n} is on fire", (n,), ["a", None], n / 7, b"x" * 100),
        )
        for n in range(30)
    ]
    folder = tmp_path / "lake" / "tickets"
    frame = spark.createDataFrame(rows, TYPES)
    frame.repartition(2).write.parquet(str(folder))
    frame.createOrReplaceTempView("init_tickets")
    monkeypatch.setattr(session, "spark_session", lambda *_: spark)
    return folder


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("init_tickets", {"table": "init_tickets"}),
        ("{folder}/*.parquet", {"path": "{folder}/*.parquet"}),
        (
            "select ticket_id, body from init_tickets where score < 3",
            {"sql": "select ticket_id, body from init_tickets where score < 3"},
        ),
    ],
)
def test_a_source_of_spark_gets_a_config_that_is_checked(
    tickets: Path, tmp_path: Path, source: str, expected: dict[str, str]
) -> None:
    """With a key and a column of its own, whatever the types of the others are."""
    options = ["--task", "classify", "--run-folder", "s3://my-bucket/runs/tickets", "--name", "one"]
    out = tmp_path / "out"
    place = source.format(folder=tickets)
    result = CliRunner().invoke(main, ["init", str(out), "--source", place, *options, "--json"])
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert str(out / "one.yaml") in json.loads(result.stdout)["files"]
    config = check_config(out / "one.yaml")
    written = yaml.safe_load((out / "one.yaml").read_text("utf-8"))["source"]
    where = {key: text.format(folder=tickets) for key, text in expected.items()}
    assert {key: written[key] for key in where} == where
    assert config.source.key == ("ticket_id",)
    assert "{{ body }}" in (config.request.prompt or "")


@pytest.mark.parametrize(
    ("source", "key"),
    [("init_nowhere", "source.table"), ("select nothing from init_tickets", "source.sql")],
)
def test_a_source_that_spark_does_not_have_is_a_line(
    tickets: Path, tmp_path: Path, source: str, key: str
) -> None:
    """With the key that it would have in a config; nothing is written."""
    options = ["--task", "classify", "--run-folder", "s3://my-bucket/runs/tickets"]
    result = CliRunner().invoke(main, ["init", str(tmp_path / "o"), "--source", source, *options])
    assert result.exit_code == ExitCode.CONFIG
    assert f"error: {key}" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "o").exists()


def test_a_run_folder_is_checked_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        pytest.fail("Spark was started")

    monkeypatch.setattr(session, "spark_session", fail)
    options = ["--task", "classify", "--run-folder", "s3://b/runs/one"]
    result = CliRunner().invoke(main, ["init", str(tmp_path), "--source", "db.t", *options])
    assert result.exit_code == ExitCode.CONFIG
    assert "run_uri" in result.stderr
