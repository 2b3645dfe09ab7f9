"""Merge and append into Delta Lake and Iceberg, in a session that knows them."""

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
from tests.sparks import make_config

ROWS = 20


def prepared(spark: SparkSession, folder: Path, first: int = 0) -> tuple[Run, RunManifest]:
    """A run without answers over rows of two key columns; the last row is rejected."""
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


def published(spark: SparkSession, made: tuple[Run, RunManifest], **results: Any) -> None:
    run, manifest = made
    source = run.config.source.model_dump()
    config = make_config(run.config.run_uri, source=source, results=results)
    publish(spark, replace(run, config=config), manifest)


def check_merge(spark: SparkSession, read: Callable[[], Any], folder: Path, **place: Any) -> None:
    """Twice the same run, then one whose rows overlap by half: each key is there once."""
    first = prepared(spark, folder / "first")
    for _ in range(2):
        published(spark, first, mode="merge", **place)
        assert sorted(r["id"] for r in read()) == list(range(ROWS - 1))
    second = prepared(spark, folder / "second", ROWS // 2)
    published(spark, second, mode="merge", **place)
    ids = sorted(r["id"] for r in read())
    assert ids == list(range(ROWS + ROWS // 2 - 1)), ids


def delta(spark: SparkSession, folder: Path) -> None:
    """Merge by path and by table; append once, though the machine dies before it is recorded."""
    path, merged = str(folder / "appended"), str(folder / "merged")
    place = {"format": "delta", "path": path}
    made = prepared(spark, folder / "run")
    for state in ("nothing", "done", "writing"):
        if state == "writing":  # written, and then the machine died
            key = layout.PUBLISHED_FILE
            told = made[0].storage.read(key).replace(b'"done"', b'"writing"')
            made[0].storage.write(key, told)
        published(spark, made, mode="append", **place)
        rows = spark.read.format("delta").load(path).collect()
        assert sorted(r["id"] for r in rows) == list(range(ROWS)), (state, len(rows))
    load = lambda: spark.read.format("delta").load(merged).collect()  # noqa: E731
    check_merge(spark, load, folder / "merge", format="delta", path=merged)


def iceberg(spark: SparkSession, folder: Path) -> None:
    """Merge into a table of the catalog, and append to one."""
    place = {"format": "iceberg", "table": "lake.support.merged"}
    read = lambda: spark.table("lake.support.merged").collect()  # noqa: E731
    check_merge(spark, read, folder / "merge", **place)
    made = prepared(spark, folder / "run")
    for _ in range(2):
        published(spark, made, mode="append", format="iceberg", table="lake.support.appended")
        assert spark.table("lake.support.appended").count() == ROWS


PUBLISHERS: dict[str, Callable[[SparkSession, Path], None]] = {
    "Delta Lake": delta,
    "Iceberg": iceberg,
}
