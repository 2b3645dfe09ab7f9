"""Publish results to Delta Lake and Iceberg tables, by merge and by append."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.publish import publish
from tests.spark_sessions import make_config

ROWS = 20


def make_run(spark: SparkSession, folder: Path, first: int = 0) -> tuple[Run, RunManifest]:
    """Return a run without answers over rows with two key columns; the last row is rejected.

    first: the id of the first row
    """
    df = spark.range(first, first + ROWS).select(
        "id",
        F.expr("id % 2").alias("half"),
        F.expr(f"IF(id = {first + ROWS - 1}, NULL, concat('x', id))").alias("body"),
    )
    config = make_config(str(folder), source={"key": ["id", "half"], "columns": ["id", "half"]})
    run = open_run(config, SystemClock())
    manifest = prepare(spark, run, df)
    collect(spark, run, manifest, {})
    return run, manifest


def publish_run(spark: SparkSession, made: tuple[Run, RunManifest], **results: Any) -> None:
    """Publish a run with these `results` settings."""
    run, manifest = made
    source = run.config.source.model_dump()
    config = make_config(run.config.run_uri, source=source, results=results)
    publish(spark, replace(run, config=config), manifest)


def check_merge(spark: SparkSession, read: Callable[[], Any], folder: Path, **place: Any) -> None:
    """Merge the same run twice, then a run with half of its rows: the table has each key once."""
    first = make_run(spark, folder / "first")
    for _ in range(2):
        publish_run(spark, first, mode="merge", **place)
        assert sorted(r["id"] for r in read()) == list(range(ROWS - 1))
    second = make_run(spark, folder / "second", ROWS // 2)
    publish_run(spark, second, mode="merge", **place)
    ids = sorted(r["id"] for r in read())
    assert ids == list(range(ROWS + ROWS // 2 - 1)), ids


def delta(spark: SparkSession, folder: Path) -> None:
    """Merge by path; append once, even if the machine died before the append was recorded."""
    path, merged = str(folder / "appended"), str(folder / "merged")
    place = {"format": "delta", "path": path}
    made = make_run(spark, folder / "run")
    for state in ("nothing", "done", "writing"):
        if state == "writing":  # the machine died after the append
            key = layout.PUBLISHED_FILE
            record = made[0].storage.read(key).replace(b'"done"', b'"writing"')
            made[0].storage.write(key, record)
        publish_run(spark, made, mode="append", **place)
        rows = spark.read.format("delta").load(path).collect()
        assert sorted(r["id"] for r in rows) == list(range(ROWS)), (state, len(rows))
    load = lambda: spark.read.format("delta").load(merged).collect()  # noqa: E731
    check_merge(spark, load, folder / "merge", format="delta", path=merged)


def iceberg(spark: SparkSession, folder: Path) -> None:
    """Merge into one table of the catalog, and append to another."""
    place = {"format": "iceberg", "table": "lake.support.merged"}
    read = lambda: spark.table("lake.support.merged").collect()  # noqa: E731
    check_merge(spark, read, folder / "merge", **place)
    made = make_run(spark, folder / "run")
    for _ in range(2):
        publish_run(spark, made, mode="append", format="iceberg", table="lake.support.appended")
        assert spark.table("lake.support.appended").count() == ROWS


PUBLISHERS: dict[str, Callable[[SparkSession, Path], None]] = {
    "Delta Lake": delta,
    "Iceberg": iceberg,
}
