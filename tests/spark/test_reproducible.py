"""The same rows become the same shards, byte for byte, independent of Spark's settings.

The expected shards are committed (tests/data/fixed_shards.json). So every version of Spark that
runs these tests must write the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.spark.prepare.stage import prepare
from tests.prepared import digests
from tests.spark.fixed_input import KINDS, expected_shards, fixed_input, open_fixed_run, shards_of


@contextmanager
def settings(spark: SparkSession, values: dict[str, str]) -> Iterator[None]:
    """Set these Spark settings during the block."""
    before = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


@pytest.mark.versions
def test_the_same_input_twice_gives_the_same_files(spark: SparkSession, tmp_path: Path) -> None:
    """The same shards, rows files and rejects."""
    for name in ("a", "b"):
        manifest = prepare(spark, open_fixed_run(tmp_path / name), fixed_input(spark))
        assert shards_of(manifest) == expected_shards()
        assert manifest.rejected == 24
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


STORED: dict[str, Callable[[DataFrame], DataFrame]] = {
    "in one partition": lambda df: df.sort(F.rand(5)).coalesce(1),
    "in many partitions, its columns in another order": lambda df: df.select(
        *sorted(df.columns, reverse=True)
    ).repartition(7),
    "sorted by the text": lambda df: df.sort(F.desc("body")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", STORED)
def test_the_way_the_source_is_stored_does_not_matter(
    spark: SparkSession, tmp_path: Path, stored: str, kind: str
) -> None:
    """Partitions, the order of rows and the order of columns change no byte of any shard."""
    source = STORED[stored](fixed_input(spark))
    assert shards_of(prepare(spark, open_fixed_run(tmp_path, kind), source)) == expected_shards(
        kind
    )


SETTINGS = {
    "adaptive, in Nepal, in small batches": {
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "7",
        "spark.sql.session.timeZone": "Asia/Kathmandu",
        "spark.sql.shuffle.partitions": "13",
    },
    "not adaptive, in UTC, in large batches": {
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000000",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
    },
}


@pytest.mark.versions
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_session_do_not_matter(
    spark: SparkSession, tmp_path: Path, name: str, kind: str
) -> None:
    """A run may be continued on another cluster, in another time zone, with other defaults."""
    with settings(spark, SETTINGS[name]):
        manifest = prepare(spark, open_fixed_run(tmp_path, kind), fixed_input(spark))
    assert shards_of(manifest) == expected_shards(kind)
