"""Publishing is idempotent: one row per source row, also if it is repeated or killed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark import publish as publishing
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.publish import publish
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

Prepared = tuple[Run, RunManifest]


@pytest.fixture
def prepared(spark: SparkSession, tmp_path: Path) -> Prepared:
    """A run without answers: all its result rows have the outcome `missing`."""
    run = open_run(make_config(str(tmp_path / "run")), SystemClock())
    manifest = prepare(spark, run, spark.range(30).selectExpr("id", "concat('x', id) AS body"))
    collect(spark, run, manifest, {})
    return run, manifest


def published(spark: SparkSession, prepared: Prepared, folder: Path, **results: Any) -> list[int]:
    run, manifest = prepared
    settings = {"path": str(folder), **results}
    config = make_config(run.config.run_uri, results=settings)
    assert publish(spark, replace(run, config=config), manifest) == str(folder)
    ids: list[int] = sorted(pq.read_table(folder)["id"].to_pylist())
    return ids


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_publishing_twice_changes_nothing(
    spark: SparkSession, prepared: Prepared, tmp_path: Path, mode: str
) -> None:
    """In mode append, rows that others wrote there stay."""
    folder = tmp_path / "published"
    spark.range(100, 102).write.parquet(str(folder))
    expected = [*range(30), *((100, 101) if mode == "append" else ())]
    for _ in range(2):
        assert published(spark, prepared, folder, mode=mode) == expected


def test_changed_results_are_not_appended_again(
    spark: SparkSession, prepared: Prepared, tmp_path: Path
) -> None:
    """Rows would be there twice; the message says what to do instead."""
    run, manifest = prepared
    published(spark, prepared, tmp_path / "published", mode="append")
    shard = manifest.shards[0].shard_id
    (tmp_path / "run" / "reconciliation" / f"{shard}.json").unlink()
    collect(spark, run, manifest, {})
    with pytest.raises(RunFolderError, match=r"were appended to .* use results.mode: merge"):
        published(spark, prepared, tmp_path / "published", mode="append")


def test_a_machine_that_dies_while_it_appends_leaves_the_state_writing(
    spark: SparkSession, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it dies before Spark has written, the next publish appends, once."""

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            published(spark, prepared, tmp_path / "published", mode="append")
    entries = json.loads((tmp_path / "run" / "published.json").read_bytes())
    assert [entry["state"] for entry in entries.values()] == ["writing"]
    for _ in range(2):
        assert published(spark, prepared, tmp_path / "published", mode="append") == [*range(30)]
