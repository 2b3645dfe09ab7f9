"""A source that has changed since prepare is noticed from its files, without reading a row."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.config import SourceConfig
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.manifest import SourceState
from bedrock_spark.run_folder.source_change import change_of
from bedrock_spark.spark.source_state import state_of
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

ROWS = "SELECT id, 'x' AS body FROM range(20)"


@pytest.fixture
def tables(spark: SparkSession) -> Iterator[None]:
    spark.sql("DROP TABLE IF EXISTS state_parts")
    spark.sql("DROP TABLE IF EXISTS state_whole")
    spark.sql(ROWS).selectExpr("*", "id % 2 AS k").write.partitionBy("k").saveAsTable("state_parts")
    spark.sql(ROWS).write.saveAsTable("state_whole")
    yield
    spark.sql("DROP TABLE state_parts")
    spark.sql("DROP TABLE state_whole")


def actions_of(spark: SparkSession) -> int:
    """Return the number of Spark jobs of this thread's group."""
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup("state"))


def compared(spark: SparkSession, source: SourceConfig, change: Any) -> str | None:
    """Return what is said of a source to which `change` happens. Looking may run no Spark job."""
    spark.sparkContext.setJobGroup("state", "")
    try:
        before = state_of(spark, source)
        assert before == state_of(spark, source) is not None
        assert actions_of(spark) == 0
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    change()
    spark.catalog.clearCache()
    return change_of(before, state_of(spark, source))


@pytest.mark.parametrize("format_", ["parquet", "json", "csv", "orc"])
def test_a_new_file_is_noticed(spark: SparkSession, tmp_path: Path, format_: str) -> None:
    """In every format of files. Columns are not inferred: that would read them all."""
    path = str(tmp_path / "rows")
    spark.sql(ROWS).coalesce(1).write.format(format_).save(path)
    source = SourceConfig(format=format_, path=path, options={"header": "true"})
    said = compared(
        spark,
        source,
        lambda: spark.sql(ROWS).coalesce(1).write.format(format_).mode("append").save(path),
    )
    assert said is not None
    assert said.startswith("1 file with ")
    assert ", 2 with " in said


def test_a_file_of_the_same_size_is_noticed(spark: SparkSession, tmp_path: Path) -> None:
    """By its modification time."""
    path = tmp_path / "a.csv"
    path.write_text("id,body\n1,a\n")

    def replace() -> None:
        path.write_text("id,body\n1,b\n")
        os.utime(path, (1, 1_700_000_000))

    source = SourceConfig(format="csv", path=str(path), options={"header": "true"})
    assert compared(spark, source, replace) == "files were replaced"


@pytest.mark.parametrize(
    "values",
    [
        {"table": "state_whole"},
        {"table": "state_parts"},
        {"sql": "SELECT a.id, b.body FROM state_parts a JOIN state_whole b USING (id)"},
    ],
)
def test_rows_that_are_added_to_a_table_are_noticed(
    spark: SparkSession, tables: None, values: dict[str, str]
) -> None:
    """Also by a query over it, and if only the catalog knows its partitions."""

    def insert() -> None:
        spark.sql("INSERT INTO state_whole VALUES (99, 'x')")
        spark.sql("INSERT INTO state_parts VALUES (99, 'x', 1)")

    assert compared(spark, SourceConfig(**values), insert) is not None


def test_nothing_is_said_of_a_source_whose_state_is_not_known(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Rows in memory, no place at all, a place that is gone, columns that would be inferred."""
    (tmp_path / "a.csv").write_text("1,a\n")
    query = SourceConfig(sql=f"SELECT * FROM csv.`{tmp_path / 'a.csv'}`")
    gone = SourceConfig(format="parquet", path=str(tmp_path / "nowhere"))
    for source in (SourceConfig(), SourceConfig(sql=ROWS), query, gone):
        assert state_of(spark, source) is None
    assert state_of(spark, SourceConfig(), spark.sql(ROWS)) is None


def test_only_like_is_compared_with_like() -> None:
    """A DataFrame is not the source of the config, and versions are told as such."""
    one, two = SourceState("1", versions=("3",)), SourceState("2", versions=("5",))
    assert change_of(one, two) == "version 3 then, 5 now"
    assert change_of(one, one) is None
    assert change_of(one, SourceState("2", is_handed_in=True)) is None
    assert change_of(None, one) is None
    assert change_of(one, None) is None


def test_a_changed_source_is_a_warning_and_a_finding(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By every stage that has Spark, once for each command, and never an error."""
    path = str(tmp_path / "rows")
    spark.sql(ROWS).write.parquet(path)
    config = make_config(str(tmp_path / "run"), source={"format": "parquet", "path": path})

    def warnings_of(df: Any = None, collects: bool = True) -> int:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "bedrock_spark"):
            pipeline = Pipeline.open(config)
            pipeline.prepare(spark, df)
            kinds = []
            if collects:
                kinds = [f["kind"] for f in pipeline.report(pipeline.collect(spark)).findings]
        said = [r.getMessage() for r in caplog.records if "use a new run_uri" in r.getMessage()]
        assert kinds.count("source_changed") == (len(said) if collects else 0)
        return len(said)

    assert warnings_of() == 0
    assert warnings_of() == 0
    spark.sql(ROWS).write.mode("append").parquet(path)
    assert warnings_of() == 1
    assert warnings_of(spark.range(3), collects=False) == 0
