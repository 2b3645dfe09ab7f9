"""Make the tables for examples of docs/lakehouse.md that need their own Spark session; run them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.stage import prepare
from tests.prepared import rows_by_prompt
from tests.sources_doc import Example
from tests.tickets import DDL, LATER, TICKETS, Ticket, asked, ticket_config

STRAY: Ticket = {**TICKETS[0], "ticket_id": "stray", "body": "deleted before the run"}


def make_delta(spark: SparkSession, lake: Path) -> None:
    """Write version 0 with the stray row; version 1 deletes it; version 2 adds the later row."""
    spark.sql(f"CREATE DATABASE support LOCATION '{lake / 'support'}'")
    path = str(lake / "tickets_delta")
    frame(spark, [*TICKETS, STRAY]).write.format("delta").partitionBy("priority").save(path)
    spark.sql(f"CREATE TABLE support.tickets_delta USING delta LOCATION '{path}'")
    spark.sql("DELETE FROM support.tickets_delta WHERE ticket_id = 'stray'")
    frame(spark, [LATER]).write.format("delta").mode("append").save(path)


def make_iceberg(spark: SparkSession, lake: Path) -> None:
    """Write the stray row, delete it by a delete file, tag the table, and add the later row."""
    spark.sql("CREATE NAMESPACE IF NOT EXISTS lake.support")
    (
        frame(spark, [*TICKETS, STRAY])
        .writeTo("lake.support.tickets")
        .tableProperty("write.delete.mode", "merge-on-read")
        .create()
    )
    spark.sql("DELETE FROM lake.support.tickets WHERE ticket_id = 'stray'")
    spark.sql("ALTER TABLE lake.support.tickets CREATE TAG nightly")
    frame(spark, [LATER]).writeTo("lake.support.tickets").append()


def make_hive(spark: SparkSession, lake: Path) -> None:
    """Write a Hive table with one partition per priority."""
    columns = DDL.rsplit(",", 1)[0]
    spark.sql(f"CREATE DATABASE archive LOCATION '{lake / 'archive'}'")
    spark.sql(
        f"CREATE TABLE archive.tickets ({columns}) PARTITIONED BY (priority int) STORED AS ORC"
    )
    spark.conf.set("hive.exec.dynamic.partition.mode", "nonstrict")
    frame(spark, TICKETS).write.insertInto("archive.tickets")


def frame(spark: SparkSession, tickets: list[Ticket]) -> DataFrame:
    return spark.createDataFrame([tuple(t.values()) for t in tickets], DDL)


MAKERS: dict[str, Callable[[SparkSession, Path], None]] = {
    "Delta Lake": make_delta,
    "Iceberg": make_iceberg,
    "Glue catalog": make_iceberg,
    "JDBC catalog": make_iceberg,
    "Hive": make_hive,
}


def check(spark: SparkSession, example: Example, lake: Path) -> None:
    """Prepare a run from an example; compare every record and row with the table."""
    folder = lake.parent / "runs" / f"{example.heading.split()[0]}-{example.number}"
    run = open_run(ticket_config(str(folder), **example.config(lake)), SystemClock())
    manifest = prepare(spark, run)
    has_fixed_version = example.heading == "Hive" or "ersion" in example.text.lower()
    expected = {asked(t): t for t in (TICKETS if has_fixed_version else [*TICKETS, LATER])}
    assert manifest.rows == manifest.records == len(expected)
    # A change is noticed by the version. Hive's tables have none, but files.
    assert manifest.source is not None
    assert len(manifest.source.versions) == (0 if example.heading == "Hive" else 1)
    assert rows_by_prompt(folder, manifest) == expected
