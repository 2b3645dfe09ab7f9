"""Every kind of source that needs no extra jars: one record per row, with the right row kept.

The configs are the examples of docs/sources.md, with the lake's paths replaced by local ones.
"""

from __future__ import annotations

import csv
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.first_rows import read_sample
from bedrock_spark.spark.prepare.source import read_source
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.starter.source_sample import sample_source
from tests.prepared import records, rows_by_prompt
from tests.sources_doc import Example, examples
from tests.tickets import ARROW, DDL, TICKETS, Ticket, as_text, asked, ticket_config
from tests.unit.fakes import make_config

pytestmark = pytest.mark.versions

# Those of docs/lakehouse.md need a session of their own: tests/e2e/test_table_formats.py.
EXAMPLES = examples("yaml")
TYPED = {"Parquet", "ORC", "Catalog table"}
URGENT = [t for t in TICKETS if t["priority"] > 1]
CUSTOMERS = ("Ada", "Bo", "Cy", "Di", "Ed")
NOTES = [t["body"].replace("\n", " ").replace("\r", " ") for t in TICKETS]


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder with the tickets in every format. The database `support` has them too."""
    folder = tmp_path_factory.mktemp("lake")
    write_parquet(folder)
    write_json(folder)
    write_csv(folder)
    write_text(folder)
    spark.sql(f"CREATE DATABASE support LOCATION '{folder / 'support'}'")
    tickets = spark.createDataFrame([tuple(t.values()) for t in TICKETS], DDL)
    tickets.write.orc(str(folder / "tickets_orc"))
    tickets.write.partitionBy("priority").saveAsTable("support.tickets")
    customers = spark.createDataFrame(list(enumerate(CUSTOMERS)), "customer_id bigint, name string")
    customers.write.saveAsTable("support.customers")
    yield folder
    spark.sql("DROP DATABASE support CASCADE")


def write_parquet(lake: Path) -> None:
    table = pa.Table.from_pylist(TICKETS, ARROW)
    (lake / "tickets").mkdir()
    for start in range(0, len(TICKETS), 30):
        pq.write_table(table.slice(start, 30), lake / "tickets" / f"part-{start}.parquet")
    pq.write_to_dataset(table, lake / "tickets_by_priority", partition_cols=["priority"])


def write_json(lake: Path) -> None:
    rows = [{**t, "amount": str(t["amount"]), "opened": t["opened"].isoformat()} for t in TICKETS]
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (lake / "tickets.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    (lake / "tickets.json").write_text(json.dumps(rows, indent=2), "utf-8")


def write_csv(lake: Path) -> None:
    with (lake / "tickets.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ARROW.names)
        writer.writeheader()
        writer.writerows(as_text(t) for t in TICKETS)


def write_text(lake: Path) -> None:
    (lake / "notes.txt").write_bytes("".join(f"{note}\n" for note in NOTES).encode())
    (lake / "notes").mkdir()
    for i, ticket in enumerate(TICKETS):
        (lake / "notes" / f"{i}.txt").write_bytes(ticket["body"].encode())


def expected_rows(example: Example) -> dict[str, Ticket]:
    """Return the row that must be kept for each question."""
    if example.heading == "Text":
        texts = NOTES if example.number == 1 else [t["body"] for t in TICKETS]
        return {f"Classify: {text}": {"value": text} for text in texts}
    if example.heading == "CSV":  # Spark reads a Windows line break as "\n"
        tickets = [{**t, "body": t["body"].replace("\r\n", "\n")} for t in TICKETS]
        return {asked(t): t for t in tickets}
    if example.heading != "SQL":
        return {asked(t): t for t in TICKETS}
    named = {t["ticket_id"]: f"{CUSTOMERS[t['customer_id']]} writes: {t['body']}" for t in URGENT}
    rows = [
        {"ticket_id": key, "priority": t["priority"], "body": named[key]}
        for t in URGENT
        if (key := t["ticket_id"])
    ]
    return {f"Classify: {row['body']}": row for row in rows}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_row_of_a_source_is_a_record(
    spark: SparkSession, lake: Path, tmp_path: Path, example: Example
) -> None:
    """No row is lost, repeated or changed between a source and its records and rows."""
    sections = example.config(lake)
    if example.heading == "SQL":
        sections["request"] = {"prompt": "Classify: {{ body }}"}
    if example.heading == "Text":
        sections["source"]["key"] = []
    run = open_run(ticket_config(str(tmp_path), **sections), SystemClock())
    manifest = prepare(spark, run)
    rows = rows_by_prompt(tmp_path, manifest)
    expected = expected_rows(example)
    assert manifest.rows == manifest.records == len(expected)
    assert {q: as_text(row) for q, row in rows.items()} == {
        q: as_text(row) for q, row in expected.items()
    }
    if example.heading in TYPED:
        assert rows == expected


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_a_dataframe_takes_the_place_of_the_source(
    spark: SparkSession,
    lake: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    example: Example,
) -> None:
    """The DataFrame is prepared, whatever source the config names."""
    config = ticket_config(str(tmp_path / "run"), {"table": "no.such_table"})
    (tmp_path / "tickets.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"spark": spark}
    exec(compile(example.text, "sources.md", "exec"), names)
    reopened = open_run(config, SystemClock())
    rows = rows_by_prompt(tmp_path / "run", prepare(spark, reopened))
    assert rows == {asked(t): t for t in URGENT}


def test_rows_are_kept_with_the_configured_columns(
    spark: SparkSession, lake: Path, tmp_path: Path
) -> None:
    """The rows have the columns of `source.columns`, and always those of the key."""
    source = {"format": "parquet", "path": str(lake / "tickets"), "columns": ["opened"]}
    run = open_run(ticket_config(str(tmp_path), source), SystemClock())
    rows = [row for _, row in records(tmp_path, prepare(spark, run))]
    assert {tuple(row) for row in rows} == {("_bs_record_id", "ticket_id", "opened")}
    opened = {t["ticket_id"]: t["opened"] for t in TICKETS}
    assert {row["ticket_id"]: row["opened"] for row in rows} == opened


@pytest.mark.parametrize("broken", ["T-x,1", 'T-x,1,"no end'])
def test_a_broken_csv_is_an_error(
    spark: SparkSession, lake: Path, tmp_path: Path, broken: str
) -> None:
    """A row that does not fit the header stops prepare. Spark's default fills it with nulls."""
    (example,) = (e for e in EXAMPLES if e.heading == "CSV")
    path = tmp_path / "broken.csv"
    path.write_text((lake / "tickets.csv").read_text("utf-8") + broken, "utf-8")
    source = example.config(lake)["source"] | {"path": str(path)}
    run = open_run(ticket_config(str(tmp_path / "run"), source), SystemClock())
    with pytest.raises(Exception, match=r"(?i)malformed"):
        prepare(spark, run)
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_an_option_is_read_from_the_environment(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Spark reads the source, each time."""
    (tmp_path / "x.csv").write_text("a|b;c")
    options = {"sep": {"env": "SEPARATOR"}}
    source = {"format": "csv", "path": str(tmp_path / "x.csv"), "options": options}
    config = make_config(source={**source, "key": []}).source
    for separator, first in (("|", "a"), (";", "a|b")):
        monkeypatch.setenv("SEPARATOR", separator)
        assert read_source(spark, config).collect()[0][0] == first
    monkeypatch.delenv("SEPARATOR")
    with pytest.raises(ConfigError, match=r"source\.options\.sep: .*SEPARATOR is not set"):
        read_source(spark, config)


def test_an_error_of_spark_shows_no_secret(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though Spark's own message quotes it. A format without a path is read, too."""
    monkeypatch.setenv("DB_URL", "secret-4711")
    options = {"url": {"env": "DB_URL"}, "dbtable": "t", "driver": {"env": "DB_URL"}}
    config = make_config(source={"format": "jdbc", "options": options}).source
    with pytest.raises(ConfigError, match=r"^source\.format = 'jdbc': .*\{env: DB_URL\}") as caught:
        read_source(spark, config)
    assert "secret-4711" not in "".join(traceback.format_exception(caught.value))


def test_the_csv_options_that_init_writes_make_spark_read_what_it_has_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Texts with line breaks, commas and doubled quotation marks; an empty text is null."""
    rows = [("1", 'say "yes", please\n"now"', "x"), ("2", "plain", None), ("3", '"', "C:\\temp")]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("id", "body", "note"), *rows])
    found = sample_source(SourceConfig(path=str(path)), lambda: spark)
    assert [tuple(row) for row in found.rows] == rows
    source = SourceConfig(path=str(path), options=found.csv_options())
    names, read = read_sample(spark, source, 9)
    assert (names, [tuple(row) for row in read]) == (found.names, rows)


def test_a_sample_holds_no_whole_photo(spark: SparkSession, tmp_path: Path) -> None:
    """Columns with odd names are sampled, too, and all types come back."""
    rows = [{"a.b": n, "photo": b"p" * 9_000, "text": "t" * 9_000, "list": [n]} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    names, read = read_sample(spark, SourceConfig(path=str(tmp_path / "t.parquet")), 2)
    assert names == ["a.b", "photo", "text", "list"]
    assert [tuple(row) for row in read] == [
        (n, bytearray(b"p" * 4_096), "t" * 4_096, [n]) for n in range(2)
    ]
