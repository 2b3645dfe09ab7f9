"""Publishing is idempotent: one row per source row, also if it is repeated or killed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError, RunFolderError, RunHeldError
from bedrock_spark.progress import Progress
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark import destination
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


@pytest.fixture
def table(spark: SparkSession) -> Iterator[str]:
    """Return the name of a table that does not exist, and drop it after the test."""
    name = f"published_{secrets.token_hex(4)}"
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


def published(spark: SparkSession, prepared: Prepared, folder: Path, **results: Any) -> list[int]:
    run, manifest = prepared
    settings = {"path": str(folder), **results}
    config = make_config(run.config.run_uri, results=settings)
    assert publish(spark, replace(run, config=config), manifest, SystemClock()) == str(folder)
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
        assert published(spark, prepared, folder, mode=mode, replace=True) == expected


def test_what_others_wrote_is_not_overwritten(
    spark: SparkSession, prepared: Prepared, tmp_path: Path
) -> None:
    """The message says how much is there. With results.replace it is replaced, and then marked."""
    folder = tmp_path / "published"
    spark.range(100, 102, 1, 2).write.parquet(str(folder))
    with pytest.raises(ConfigError, match=r"2 files are there .* set results.replace: true"):
        published(spark, prepared, folder)
    assert sorted(pq.read_table(folder)["id"].to_pylist()) == [100, 101]
    assert published(spark, prepared, folder, replace=True) == [*range(30)]
    mark = json.loads((folder / "_bedrock_spark.json").read_bytes())
    assert mark["run_id"] == prepared[0].run_id
    assert published(spark, prepared, folder) == [*range(30)]


def test_results_of_another_run_are_overwritten(
    spark: SparkSession, prepared: Prepared, tmp_path: Path
) -> None:
    """They have the mark of this package. What replaces them by other means has no mark."""
    folder = tmp_path / "published"
    published(spark, prepared, folder)
    (tmp_path / "run" / "published.json").unlink()  # as if this were another run
    assert published(spark, prepared, folder) == [*range(30)]
    spark.range(100, 102).write.mode("overwrite").parquet(str(folder))
    with pytest.raises(ConfigError, match="did not write"):
        published(spark, prepared, folder)


def test_a_death_before_the_mark_does_not_block_the_run(
    spark: SparkSession, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run folder has the intent. Another run would be refused."""

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "published"
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "mark", die)
        with pytest.raises(KeyboardInterrupt):
            published(spark, prepared, folder)
    assert published(spark, prepared, folder) == [*range(30)]
    (folder / "_bedrock_spark.json").unlink()
    (tmp_path / "run" / "published.json").unlink()
    with pytest.raises(ConfigError, match="did not write"):
        published(spark, prepared, folder)


def test_a_place_that_cannot_be_marked_is_known_to_its_run(
    spark: SparkSession, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over Spark Connect, which has no JVM to write the mark."""
    monkeypatch.setattr(destination, "open_folder", lambda *_: None)
    for _ in range(2):
        assert published(spark, prepared, tmp_path / "published") == [*range(30)]
    assert not (tmp_path / "published" / "_bedrock_spark.json").exists()


def test_a_table_is_marked_by_a_property(
    spark: SparkSession, prepared: Prepared, table: str
) -> None:
    """A table with rows of others is not replaced; an empty one is, and one with the mark."""
    run, manifest = prepared
    config = make_config(run.config.run_uri, results={"table": table})
    run = replace(run, config=config)
    spark.sql(f"CREATE TABLE {table} USING parquet AS SELECT 1 AS id")
    with pytest.raises(ConfigError, match="a table with rows is there that this package"):
        publish(spark, run, manifest, SystemClock())
    spark.sql(f"TRUNCATE TABLE {table}")
    for _ in range(2):
        assert publish(spark, run, manifest, SystemClock()) == table
        assert spark.table(table).count() == 30
        run.storage.delete(["published.json"])  # so only the property can tell
    properties = {row[0]: row[1] for row in spark.sql(f"SHOW TBLPROPERTIES {table}").collect()}
    assert properties["bedrock_spark.run_id"] == run.run_id


def test_a_table_in_the_run_folder_is_not_written(
    spark: SparkSession, prepared: Prepared, table: str
) -> None:
    """The catalog knows where the table is, the config does not."""
    run, manifest = prepared
    location = f"{run.config.run_uri}/results"
    spark.sql(f"CREATE TABLE {table} (id bigint) USING parquet LOCATION '{location}'")
    before = sorted(o.key for o in run.storage.list("results/"))
    config = make_config(run.config.run_uri, results={"table": table, "replace": True})
    with pytest.raises(ConfigError, match=f"results.table = '{table}' is below run_uri"):
        publish(spark, replace(run, config=config), manifest, SystemClock())
    assert sorted(o.key for o in run.storage.list("results/")) == before


@pytest.mark.parametrize("folder", ["", "/results"])
def test_the_results_are_never_published_into_the_run_folder(
    spark: SparkSession, prepared: Prepared, folder: str
) -> None:
    """Spark deletes what is there before it reads the results from it."""
    run, manifest = prepared
    before = {o.key for o in run.storage.list("")}
    with pytest.raises(ConfigError, match="run_uri"):
        published(spark, prepared, Path(run.config.run_uri + folder))
    results = run.config.results.model_copy(update={"path": run.config.run_uri + folder})
    unchecked = replace(run, config=run.config.model_copy(update={"results": results}))
    with pytest.raises(ConfigError, match="run_uri"):
        publish(spark, unchecked, manifest, SystemClock())
    assert {o.key for o in run.storage.list("")} - before <= {"publisher.json"}


def test_a_second_publisher_is_refused_while_the_first_one_writes(
    spark: SparkSession, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not take a living one for dead, and append all rows a second time."""
    folder, write = tmp_path / "published", publishing._write

    def write_while_another_comes(*args: Any, **options: Any) -> None:
        monkeypatch.setattr(publishing, "_write", write)
        for mode in ("append", "overwrite"):
            with pytest.raises(RunHeldError, match="is being published by"):
                published(spark, prepared, folder, mode=mode)
        write(*args, **options)

    monkeypatch.setattr(publishing, "_write", write_while_another_comes)
    assert published(spark, prepared, folder, mode="append") == [*range(30)]
    assert published(spark, prepared, folder, mode="append") == [*range(30)]


def test_overwritten_rows_are_not_appended_once_more(
    spark: SparkSession, prepared: Prepared, tmp_path: Path
) -> None:
    """The rows of the run are there already. Any spelling of the path is the same place."""
    folder = tmp_path / "published"
    published(spark, prepared, folder)
    run, manifest = prepared
    config = make_config(run.config.run_uri, results={"path": f"file:{folder}/.", "mode": "append"})
    publish(spark, replace(run, config=config), manifest, SystemClock())
    assert sorted(pq.read_table(folder)["id"].to_pylist()) == [*range(30)]


def test_changed_results_are_not_appended_again(
    spark: SparkSession, prepared: Prepared, tmp_path: Path
) -> None:
    """Rows would be there twice; the message says what to do instead."""
    run, manifest = prepared
    published(spark, prepared, tmp_path / "published", mode="append")
    shard = manifest.shards[0].shard_id
    (tmp_path / "run" / "reconciliation" / f"{shard}.json").unlink()
    collect(spark, run, manifest, {})
    with pytest.raises(RunFolderError, match=r"were written to .* use results.mode: merge"):
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


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_what_a_dead_writer_left_aside_does_not_block_the_run(
    spark: SparkSession, prepared: Prepared, tmp_path: Path, mode: str
) -> None:
    """Spark writes below _temporary, and a folder with nothing else has no columns."""
    aside = tmp_path / "published" / "_temporary" / "0" / "_temporary" / "attempt"
    spark.range(3).coalesce(1).write.parquet(str(aside))
    assert published(spark, prepared, tmp_path / "published", mode=mode, replace=True) == [
        *range(30)
    ]


def test_the_progress_counts_rows(spark: SparkSession, prepared: Prepared, tmp_path: Path) -> None:
    """To write a large table takes long: it must not look like a hang."""
    run, manifest = prepared
    config = make_config(run.config.run_uri, results={"path": str(tmp_path / "published")})
    seen: list[Progress] = []
    publish(spark, replace(run, config=config), manifest, SystemClock(), seen.append)
    assert {(p.stage, p.unit) for p in seen} == {("publish", "rows")}
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, 30, 30)


def test_every_job_of_spark_has_the_name_of_its_stage(spark: SparkSession, tmp_path: Path) -> None:
    """Also those that infer a schema, count rows, or look at the place of the results."""
    source, out = tmp_path / "source", tmp_path / "out"
    spark.range(30).selectExpr("id", "concat('x', id) AS body").write.csv(str(source), header=True)
    config = make_config(
        str(tmp_path / "run"),
        source={
            "format": "csv",
            "path": str(source),
            "key": ["id"],
            "options": {"header": "true", "inferSchema": "true"},
        },
        results={"path": str(out)},
    )
    last = max(jobs_of(spark), default=-1)
    run = open_run(config, SystemClock())
    manifest = prepare(spark, run)
    collect(spark, run, manifest, {})
    for _ in range(2):
        publish(spark, run, manifest, SystemClock())
    prepare(spark, run)
    names = [name for number, name in jobs_of(spark).items() if number > last]
    stages = {name.removeprefix("bedrock_spark ") for name in names}
    assert stages == {"prepare", "collect", "publish"}
    assert len(names) > len(stages)


def jobs_of(spark: SparkSession) -> dict[int, str]:
    """Return the descriptions of Spark's jobs, as its UI shows them, by number."""
    store = spark.sparkContext._jsc.sc().statusStore()
    found = store.jobsList(None)
    jobs = (found.apply(i) for i in range(found.size()))
    names = ((job.jobId(), job.description()) for job in jobs)
    return {number: name.get() if name.isDefined() else "no name" for number, name in names}
