"""Very skewed sources: heavy-tailed text lengths, sorted by size, all in one partition."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.row_bytes import row_bytes
from tests.prepared import prompt_of, records, rows_file
from tests.spark_sessions import make_config

ROWS = 3_000
SHARDS = {"max_records": 150, "max_bytes": 60_000, "min_records": 12}


@pytest.fixture(scope="module")
def texts(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """Return texts of 20 to 2,000 bytes with a Pareto tail: one in a hundred has 2,000."""
    path = str(tmp_path_factory.mktemp("texts") / "texts")
    uniform = (F.pmod(F.xxhash64("id"), F.lit(1_000_000)) + 1) / 1_000_000
    length = F.least(F.lit(2_000), F.floor(20 / uniform)).cast("int")
    body = F.expr("repeat('x', length)")
    rows = spark.range(ROWS).withColumn("length", length).withColumn("body", body)
    rows.coalesce(1).write.parquet(path)
    return spark.read.parquet(path)


SORTED = {"short first": F.asc, "long first": F.desc}


@pytest.mark.parametrize("order", SORTED)
def test_bounds_hold_for_rows_of_very_different_sizes(
    spark: SparkSession, texts: DataFrame, tmp_path: Path, order: str
) -> None:
    """Every shard keeps all bounds, for any order of the source."""
    source = texts.coalesce(1).sortWithinPartitions(SORTED[order]("length"))
    run = open_run(make_config(str(tmp_path), shards=SHARDS), SystemClock())
    manifest = prepare(spark, run, source)
    assert manifest.records == ROWS
    assert sum(s.bytes for s in manifest.shards) > 10 * SHARDS["max_bytes"]
    for shard in manifest.shards:
        assert SHARDS["min_records"] <= shard.records <= SHARDS["max_records"]
        assert shard.bytes <= SHARDS["max_bytes"]
        file = tmp_path / shard.key
        assert file.stat().st_size == shard.bytes
    lengths = [len(prompt_of(r)) - len("Classify: ") for r, _ in records(tmp_path, manifest)]
    assert sorted(lengths) == sorted(row["length"] for row in texts.select("length").collect())
    assert max(lengths) == 2_000
    # Rows are repartitioned by hash, so no shard has only long rows.
    averages = [s.bytes / s.records for s in manifest.shards]
    assert max(averages) < 3 * min(averages)


def test_large_kept_columns_become_several_shards(spark: SparkSession, tmp_path: Path) -> None:
    """Short prompts beside long texts: no task of collect has to hold all of these at once.

    A column that is not kept does not count.
    """
    df = spark.range(2_000).selectExpr(
        "id", "concat('ticket ', id) AS body", "repeat(uuid(), 30) AS beside"
    )
    shards = {"max_records": 5_000, "min_records": 10, "max_row_bytes": 200_000}
    config = make_config(str(tmp_path / "all"), shards=shards)
    manifest = prepare(spark, open_run(config, SystemClock()), df)
    assert 12 <= len(manifest.shards) <= 24
    for shard in manifest.shards:
        rows = pq.read_table(rows_file(tmp_path / "all", shard)).combine_chunks()
        assert int(row_bytes(rows.to_batches()[0]).sum()) <= 200_000
    source = {"key": ["id"], "columns": ["body"]}
    config = make_config(str(tmp_path / "some"), shards=shards, source=source)
    assert len(prepare(spark, open_run(config, SystemClock()), df).shards) == 1
