"""Unusual names of columns and fields: with dots, backticks, spaces, dashes and commas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.results import results
from tests.prepared import records
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

QUOTED = ("first name", "e-mail", "Größe", "a,b")
REFUSED = ("address.city", "a`b")


def prepared(spark: SparkSession, folder: Path, row: dict[str, object]) -> tuple[Run, RunManifest]:
    """Prepare one row of JSON."""
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"id": 1, "body": "x", **row}) + "\n", "utf-8")
    source = {"format": "json", "path": str(path)}
    run = open_run(make_config(str(folder / "run"), source=source), SystemClock())
    return run, prepare(spark, run)


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_spark_cannot_pass_to_python_is_refused(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    """Spark reads a dot as a field, a backtick as a quote: prepare refuses before it starts."""
    with pytest.raises(ConfigError, match="dot or a backtick"):
        prepared(spark, tmp_path, {name: "kept"})


def test_a_column_may_have_any_other_name(spark: SparkSession, tmp_path: Path) -> None:
    """A name that SQL must quote is kept. CSV headers and JSON keys often have such names."""
    names = QUOTED
    run, manifest = prepared(spark, tmp_path, dict.fromkeys(names, "kept"))
    ((_, row),) = records(tmp_path / "run", manifest)
    assert {name: row[name] for name in names} == dict.fromkeys(names, "kept")
    collect(spark, run, manifest, {})
    (result,) = results(spark, run, manifest).collect()
    assert {name: result[name] for name in names} == dict.fromkeys(names, "kept")


@pytest.mark.parametrize("names", [QUOTED, REFUSED], ids=" ".join)
def test_a_field_may_have_any_name(
    spark: SparkSession, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """Collect must return every field that prepare accepted: by then the answers are paid for."""
    run, manifest = prepared(spark, tmp_path, {"who": dict.fromkeys(names, "kept")})
    collect(spark, run, manifest, {})
    (result,) = results(spark, run, manifest).collect()
    assert result["who"].asDict() == dict.fromkeys(names, "kept")


MISSING_SOURCES = {
    "source.path": {"format": "parquet", "path": "/nowhere/tickets"},
    "source.table": {"table": "nowhere.tickets"},
    "source.sql": {"sql": "SELECT * FROM nowhere.tickets"},
    "source.format": {"format": "no.such.format", "path": "/nowhere/tickets"},
}


@pytest.mark.parametrize("key", MISSING_SOURCES)
def test_a_source_that_does_not_exist_is_named(
    spark: SparkSession, tmp_path: Path, key: str
) -> None:
    """A wrong path, table, query or format is a ConfigError that names the key."""
    run = open_run(make_config(str(tmp_path), source=MISSING_SOURCES[key]), SystemClock())
    with pytest.raises(ConfigError, match=key):
        prepare(spark, run)
