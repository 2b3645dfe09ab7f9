"""Publish results to Delta Lake and Iceberg tables, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.publish import publish
from bedrock_spark.spark.sink import check_sink
from tests.e2e.copied_answers import check_copies, check_own_table
from tests.spark_sessions import make_config

ROWS = 20


def make_run(
    spark: SparkSession, folder: Path, first: int = 0, **results: Any
) -> tuple[Run, RunManifest]:
    """Return a run without answers over rows with two key columns; the last row is rejected.

    first: the id of the first row
    results: settings that add or remove result columns
    """
    df = spark.range(first, first + ROWS).select(
        "id",
        F.expr("id % 2").alias("half"),
        F.expr(f"IF(id = {first + ROWS - 1}, NULL, concat('x', id))").alias("body"),
    )
    source = {"key": ["id", "half"], "columns": ["id", "half"]}
    config = make_config(str(folder), source=source, results=results)
    run = open_run(config, SystemClock())
    manifest = prepare(spark, run, df)
    collect(spark, run, manifest, {})
    return run, manifest


def publish_run(spark: SparkSession, made: tuple[Run, RunManifest], **results: Any) -> None:
    """Publish a run with these `results` settings, after the place was tried as in prepare."""
    run, manifest = made
    source = run.config.source.model_dump()
    config = make_config(run.config.run_uri, source=source, results=results)
    check_sink(spark, replace(run, config=config), manifest.columns)
    publish(spark, replace(run, config=config), manifest, SystemClock())


def check_merge(spark: SparkSession, read: Callable[[], Any], folder: Path, **place: Any) -> None:
    """Merge the same run twice, then a run with half of its rows: the table has each key once.

    Its rows are all `missing`: they replace no row that has an answer.
    """
    target = place.get("table", f"delta.`{place.get('path')}`")
    first = make_run(spark, folder / "first")
    for _ in range(2):
        publish_run(spark, first, mode="merge", **place)
        assert sorted(r["id"] for r in read()) == list(range(ROWS - 1))
    answered = ROWS // 2 + 1
    spark.sql(f"UPDATE {target} SET outcome = 'ok', text = 'an answer' WHERE id = {answered}")
    second = make_run(spark, folder / "second", ROWS // 2)
    publish_run(spark, second, mode="merge", **place)
    ids = sorted(r["id"] for r in read())
    assert ids == list(range(ROWS + ROWS // 2 - 1)), ids
    texts = {r["id"]: r["text"] for r in read() if r["outcome"] == "ok"}
    assert texts == {answered: "an answer"}


def check_merges_at_once(spark: SparkSession, folder: Path, **place: Any) -> None:
    """Three runs merge into one table at the same time: the rows of all of them are there.

    The table has a column more, which stays null.
    """
    target = place.get("table", f"delta.`{place.get('path')}`")
    runs = [make_run(spark, folder / f"run{i}", i * ROWS) for i in range(4)]
    publish_run(spark, runs[0], mode="merge", **place)
    spark.sql(f"ALTER TABLE {target} ADD COLUMNS (reviewed boolean)")
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(publish_run, spark, r, mode="merge", **place) for r in runs[1:]]:
            done.result()
    rows = spark.sql(f"SELECT id, reviewed FROM {target}").collect()
    assert sorted(r["id"] for r in rows) == [i for i in range(4 * ROWS) if (i + 1) % ROWS]
    assert {r["reviewed"] for r in rows} == {None}


def check_overwrite(
    spark: SparkSession, read: Callable[[], Any], folder: Path, **place: Any
) -> None:
    """Overwrite by the same run and by another one, which knows the first one by its mark.

    The other one has a column more. What others wrote is refused, also by the trial.
    """
    for i, first in enumerate((0, 0, 5)):
        parse = {"parse": "label string"} if i == 2 else {}
        made = make_run(spark, folder / f"run{i}", first, **parse)
        for _ in range(2):
            publish_run(spark, made, **place, **parse)
        assert sorted(r["id"] for r in read()) == list(range(first, first + ROWS))
    assert "label" in read()[0]


def check_foreign(spark: SparkSession, made: tuple[Run, RunManifest], **place: Any) -> None:
    """What others wrote is not overwritten."""
    with pytest.raises(ConfigError, match="did not write"):
        publish_run(spark, made, mode="overwrite", **place)


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
    check_foreign(spark, make_run(spark, folder / "other"), **place)
    written = str(folder / "overwritten")
    load_written = lambda: spark.read.format("delta").load(written).collect()  # noqa: E731
    check_overwrite(spark, load_written, folder / "over", format="delta", path=written)
    load = lambda: spark.read.format("delta").load(merged).collect()  # noqa: E731
    check_merge(spark, load, folder / "merge", format="delta", path=merged)
    shared = str(folder / "shared")
    check_merges_at_once(spark, folder / "at-once", format="delta", path=shared)
    copied = str(folder / "copied")
    load = lambda: spark.read.format("delta").load(copied).collect()  # noqa: E731
    check_copies(spark, folder / "answers", "delta", copied, load)
    spark.sql("CREATE DATABASE IF NOT EXISTS support")
    check_own_table(spark, folder / "own", "delta", "support.copied")


def iceberg(spark: SparkSession, folder: Path) -> None:
    """Merge into one table of the catalog, and append to another."""
    place = {"format": "iceberg", "table": "lake.support.merged"}
    read = lambda: spark.table("lake.support.merged").collect()  # noqa: E731
    check_merge(spark, read, folder / "merge", **place)
    shared = "lake.support.shared"
    check_merges_at_once(spark, folder / "at-once", format="iceberg", table=shared)
    made = make_run(spark, folder / "run")
    for _ in range(2):
        publish_run(spark, made, mode="append", format="iceberg", table="lake.support.appended")
        assert spark.table("lake.support.appended").count() == ROWS
    place = {"format": "iceberg", "table": "lake.support.appended"}
    check_foreign(spark, make_run(spark, folder / "other"), **place)
    place["table"] = "lake.support.overwritten"
    read = lambda: spark.table("lake.support.overwritten").collect()  # noqa: E731
    check_overwrite(spark, read, folder / "over", **place)
    copied = "lake.support.copied"
    check_copies(
        spark, folder / "answers", "iceberg", copied, lambda: spark.table(copied).collect()
    )
    check_own_table(spark, folder / "own", "iceberg", "lake.support.own")
    tables = {row["tableName"] for row in spark.sql("SHOW TABLES IN lake.support").collect()}
    assert not [name for name in tables if "_bedrock_spark_" in name], tables


def another_catalog(spark: SparkSession, folder: Path) -> None:
    """Merge twice, replace, and leave no table behind: what differs between catalogs of Iceberg."""
    place = {"format": "iceberg", "table": "lake.support.merged"}
    check_merge(spark, lambda: spark.table("lake.support.merged").collect(), folder, **place)
    place["table"] = "lake.support.overwritten"
    made = make_run(spark, folder / "run")
    for _ in range(2):
        publish_run(spark, made, **place)
        assert spark.table("lake.support.overwritten").count() == ROWS
    tables = {row["tableName"] for row in spark.sql("SHOW TABLES IN lake.support").collect()}
    assert tables == {"tickets", "merged", "overwritten"}


PUBLISHERS: dict[str, Callable[[SparkSession, Path], None]] = {
    "Delta Lake": delta,
    "Iceberg": iceberg,
    "Glue catalog": another_catalog,
    "JDBC catalog": another_catalog,
}
