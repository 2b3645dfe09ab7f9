"""Prepare: every row is in exactly one shard or rejected, within bounds, with the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    DuplicateKeyError,
    PlanError,
    RunFolderError,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard, read_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.run_folder.shard_records import read_index
from bedrock_spark.shards import record_ids
from bedrock_spark.shards.byte_index import MIN_SHARD_BYTES
from bedrock_spark.spark.prepare import repartitioning
from bedrock_spark.spark.prepare.stage import prepare
from tests.prepared import contents_of, narrow_hashes, rejects_file, rows_file
from tests.spark_sessions import make_config


def tickets(spark: SparkSession, rows: int) -> DataFrame:
    """Return tickets whose bodies differ much in length; one in fifty is null."""
    return spark.range(rows).select(
        F.col("id"),
        F.when(
            F.col("id") % 50 != 7, F.expr("repeat(concat('ticket ', id, ' é\u2028\"'), 1 + id % 9)")
        )
        .otherwise(F.lit(None))
        .alias("body"),
        (F.col("id") % 3).cast("int").alias("priority"),
    )


def prepared(
    spark: SparkSession, folder: Path, df: DataFrame, **sections: Any
) -> tuple[Run, RunManifest]:
    run = open_run(make_config(str(folder), **sections), SystemClock())
    return run, prepare(spark, run, df)


def lines_of(folder: Path, shard: Shard) -> list[dict[str, Any]]:
    data = (folder / shard.key).read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data[:-1].split(b"\n")]


@pytest.mark.versions
def test_every_row_is_a_record_or_a_reject(spark: SparkSession, tmp_path: Path) -> None:
    """Every row of the source is in exactly one shard or in the rejects, with its reason."""
    _, manifest = prepared(spark, tmp_path, tickets(spark, 2000))
    in_shards = [
        row["id"]
        for s in manifest.shards
        for row in pq.read_table(rows_file(tmp_path, s)).to_pylist()
    ]
    rejects = [
        row
        for r in manifest.rejects
        for row in pq.read_table(rejects_file(tmp_path, manifest, r.bucket)).to_pylist()
    ]
    assert sorted(in_shards + [r["id"] for r in rejects]) == list(range(2000))
    assert len(rejects) == manifest.rejected == 40
    assert {(r["reject_column"], r["reject_reason"]) for r in rejects} == {("body", "is null")}
    assert manifest.rows == 2000


def test_shards_keep_their_bounds(spark: SparkSession, tmp_path: Path) -> None:
    """No shard has more records or bytes than allowed, nor fewer records than the minimum."""
    shards = {"max_records": 100, "max_bytes": 20_000, "min_records": 10}
    _, manifest = prepared(spark, tmp_path, tickets(spark, 2000), shards=shards)
    assert len(manifest.shards) > 10
    for shard in manifest.shards:
        data = (tmp_path / shard.key).read_bytes()
        assert len(data) == shard.bytes <= 20_000
        assert 10 <= shard.records == data.count(b"\n") <= 100
        assert hashlib.sha256(data).hexdigest() == shard.sha256


@pytest.mark.versions
def test_lines_and_rows_have_the_same_order(spark: SparkSession, tmp_path: Path) -> None:
    """The n-th line of a shard asks about the n-th row of its rows file; ids can be recomputed."""
    _, manifest = prepared(spark, tmp_path, tickets(spark, 300))
    for shard in manifest.shards:
        rows = pq.read_table(rows_file(tmp_path, shard)).to_pylist()
        for row, line in zip(rows, lines_of(tmp_path, shard), strict=True):
            assert (
                line["recordId"] == row["_bs_record_id"] == record_ids.record_id([str(row["id"])])
            )
            question = line["modelInput"]["messages"][0]["content"][0]["text"]
            assert question == f"Classify: {row['body']}"


@pytest.mark.parametrize("hashes", [None, 300])
def test_the_index_of_a_shard_leads_to_every_record(
    spark: SparkSession, tmp_path: Path, hashes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows whose hashes collide, too: the index has them by their id."""
    if hashes is not None:
        narrow_hashes(monkeypatch, hashes)
    df = spark.range(3_000).select("id", F.expr("repeat('text ', 100 + id % 200)").alias("body"))
    run, manifest = prepared(spark, tmp_path, df, shards={"max_records": 50_000})
    (shard,) = manifest.shards
    assert shard.bytes >= MIN_SHARD_BYTES
    index = read_index(run.storage, shard.shard_id, shard.prepare_id)
    assert index is not None
    place = 0
    for line in (tmp_path / shard.key).read_bytes().splitlines(keepends=True):
        block = index.block_of(json.loads(line)["recordId"])
        assert block is not None
        assert block[0] <= place < place + len(line) <= block[1]
        place += len(line)


def test_ids_do_not_depend_on_other_columns(spark: SparkSession, tmp_path: Path) -> None:
    """A row keeps its id when its text changes and when its key becomes a string."""
    df = tickets(spark, 100).where("body IS NOT NULL")
    changed = df.select(F.col("id").cast("string").alias("id"), F.lit("other").alias("body"))
    first = prepared(spark, tmp_path / "a", df)[1]
    second = prepared(spark, tmp_path / "b", changed)[1]
    assert ids_of(tmp_path / "a", first) == ids_of(tmp_path / "b", second)


def ids_of(folder: Path, manifest: RunManifest) -> set[str]:
    return {line["recordId"] for s in manifest.shards for line in lines_of(folder, s)}


@pytest.mark.versions
def test_repeated_keys_are_found(spark: SparkSession, tmp_path: Path) -> None:
    """A repeated key stops prepare, and nothing is committed. The rejects have these rows."""
    df = tickets(spark, 100).withColumn("id", F.col("id") % 90)
    run = open_run(make_config(str(tmp_path)), SystemClock())
    with pytest.raises(DuplicateKeyError, match="10 rows repeat a key") as caught:
        prepare(spark, run, df)
    assert caught.value.rows == 10
    rejects = spark.read.parquet(str(tmp_path / "rejects" / "*"))
    repeats = rejects.where("reject_reason = 'repeats the key of another row'")
    assert {(r.id, r.reject_column) for r in repeats.collect()} == {(i, "id") for i in range(10)}
    assert read_manifest(run.storage) is None


@pytest.mark.versions
def test_equal_rows_without_a_key_are_records_of_their_own(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Without a key, rows with the same body get different ids and are all kept."""
    df = tickets(spark, 60).where("body IS NOT NULL").select("body", "priority")
    thrice = df.union(df).union(df)
    _, manifest = prepared(spark, tmp_path / "a", thrice, source={"key": []})
    again = prepared(spark, tmp_path / "b", thrice.repartition(5), source={"key": []})[1]
    assert manifest.records == len(ids_of(tmp_path / "a", manifest)) == thrice.count()
    assert contents_of(manifest) == contents_of(again)


def test_two_keys_with_one_hash_get_two_ids(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Different keys with one hash get different ids, the same ids every time.

    Only then are keys sorted: the rows are shuffled once more.
    """
    df = tickets(spark, 300).where("body IS NOT NULL")
    sorted_keys: list[bool] = []
    with_ids = repartitioning.with_ids

    def noted(*arguments: Any, has_repeats: bool) -> DataFrame:
        sorted_keys.append(has_repeats)
        return with_ids(*arguments, has_repeats=has_repeats)

    monkeypatch.setattr(repartitioning, "with_ids", noted)
    prepared(spark, tmp_path / "unique", df)
    assert sorted_keys == [False]
    narrow_hashes(monkeypatch, 50)
    first = prepared(spark, tmp_path / "a", df)[1]
    assert sorted_keys == [False, False, True]
    second = prepared(spark, tmp_path / "b", df.repartition(5))[1]
    assert first.records == len(ids_of(tmp_path / "a", first)) == df.count()
    assert contents_of(first) == contents_of(second)


def test_an_empty_source_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    """A source without rows is refused with a message that says so."""
    with pytest.raises(PlanError, match="has no rows"):
        prepared(spark, tmp_path, tickets(spark, 0))


def test_one_row_works(spark: SparkSession, tmp_path: Path) -> None:
    """A single row is a shard of one record."""
    _, manifest = prepared(spark, tmp_path, tickets(spark, 1))
    assert [(s.shard_id, s.records) for s in manifest.shards] == [("shard-00000-00", 1)]


def test_a_source_of_rejects_only_has_no_shards(spark: SparkSession, tmp_path: Path) -> None:
    """If no row can become a record, all are rejects and none is lost."""
    df = tickets(spark, 20).withColumn("body", F.lit(None).cast("string"))
    _, manifest = prepared(spark, tmp_path, df)
    assert (manifest.shards, manifest.rejected, manifest.rows) == ((), 20, 20)


def test_a_committed_manifest_is_only_read(spark: SparkSession, tmp_path: Path) -> None:
    """A committed prepare is not repeated, even if the source has changed."""
    run, first = prepared(spark, tmp_path, tickets(spark, 100))
    assert prepare(spark, run, tickets(spark, 5)) == first


def test_files_of_a_dead_prepare_are_replaced(spark: SparkSession, tmp_path: Path) -> None:
    """Files of a prepare that never committed do not change the next one, which deletes them."""
    dead = layout.new_prepare_id()
    keys = [*(f(layout.shard_id(0, 0), dead) for f in (layout.shard_key, layout.rows_key))]
    strays = [tmp_path / key for key in (*keys, layout.rejects_key(0, dead))]
    for stray in strays:
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"half a line")
    _, manifest = prepared(spark, tmp_path, tickets(spark, 50))
    assert not any(stray.exists() for stray in strays)
    assert manifest.records == len(ids_of(tmp_path, manifest)) == 49


def test_a_record_too_large_is_rejected(spark: SparkSession, tmp_path: Path) -> None:
    """A record larger than shards.max_bytes is a reject; the reason has its size."""
    df = tickets(spark, 30).withColumn(
        "body", F.expr("CASE WHEN id = 3 THEN repeat('x', 5000) ELSE 'short' END")
    )
    shards = {"max_bytes": 4000, "min_records": 1}
    _, manifest = prepared(spark, tmp_path, df, shards=shards)
    assert manifest.rejected == 1
    reject = pq.read_table(rejects_file(tmp_path, manifest, manifest.rejects[0].bucket))
    assert "shards.max_bytes is 4000" in reject["reject_reason"][0].as_py()


@pytest.mark.versions
@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"request": {"prompt": "{{ bdy }}"}}, "no column bdy; did you mean body"),
        ({"source": {"key": ["ticket"]}}, "source.key: the source has no column ticket"),
        ({"source": {"key": ["id"], "columns": ["prio"]}}, "source.columns: .* priority"),
    ],
)
def test_columns_that_do_not_exist_are_named(
    spark: SparkSession, tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    """The error names the missing column and the nearest columns of the source."""
    with pytest.raises(ConfigError, match=message):
        prepared(spark, tmp_path, tickets(spark, 10), **sections)


def test_a_source_column_may_not_have_the_name_of_a_result_column(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A kept column `outcome` is refused; without it in source.columns, prepare works."""
    df = tickets(spark, 10).withColumn("outcome", F.lit("won"))
    with pytest.raises(ConfigError, match="outcome has the name of a result column"):
        prepared(spark, tmp_path / "a", df)
    _, manifest = prepared(
        spark, tmp_path / "b", df, source={"key": ["id"], "columns": ["priority"]}
    )
    assert manifest.columns == "`id` bigint, `priority` int"


@pytest.mark.versions
def test_floats_are_no_keys(spark: SparkSession, tmp_path: Path) -> None:
    """The text of a double is not the same everywhere, so it cannot be a key."""
    df = tickets(spark, 10).withColumn("id", F.col("id") / 3)
    with pytest.raises(ConfigError, match="id is a double"):
        prepared(spark, tmp_path, df)


@pytest.mark.versions
def test_columns_keep_their_types(spark: SparkSession, tmp_path: Path) -> None:
    """A placeholder that is a whole JSON value has the type of its column, also a nested type."""
    df = spark.sql(
        "SELECT 1L AS id, true AS flag,"
        " named_struct('name', 'Ada', 'tags', array('x', 'y')) AS who,"
        " map('k', 2) AS counts, CAST(1.5 AS DECIMAL(4,2)) AS price, DATE'2026-01-02' AS day,"
        " TIMESTAMP'2026-01-02 03:04:05' AS at, X'CAFE' AS raw, CAST(NULL AS STRING) AS note"
    )
    body = {
        "flag": "{{ flag }}",
        "name": "{{ who.name }}",
        "tags": "{{ who.tags }}",
        "counts": "{{ counts }}",
        "text": "{{ flag }} {{ price }} {{ day }} {{ raw }} {{ note | default('none') }}",
    }
    request = {"request": {"body": body}, "source": {"key": ["id"], "columns": ["id", "at"]}}
    config = make_config(str(tmp_path)).model_dump()
    config["request"], config["source"] = request["request"], request["source"]
    config["model"] |= {"id": "nobody.knows-v1", "family": "raw"}
    run = open_run(Config.model_validate(config), SystemClock())
    manifest = prepare(spark, run, df)
    line = lines_of(tmp_path, manifest.shards[0])[0]
    assert line["modelInput"] == {
        "flag": True,
        "name": "Ada",
        "tags": ["x", "y"],
        "counts": {"k": 2},
        "text": "true 1.50 2026-01-02 yv4= none",
    }


REFUSED: dict[str, dict[str, Any]] = {
    "placeholder": {"request": {"prompt": "{{ nothing }}", "max_tokens": 40}},
    "key": {"source": {"key": ["nothing"]}},
    "kept column": {"source": {"key": ["id"], "columns": ["id", "nothing"]}},
    "type": {"source": {"key": ["ratio"]}},
    "no rows": {"source": {"key": ["id"]}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_source_that_is_refused_leaves_no_folder(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    """The corrected config begins the run at the same URI."""
    folder, df = tmp_path / "run", tickets(spark, 60).withColumn("ratio", F.lit(0.5))
    with pytest.raises(BedrockSparkError):
        prepared(spark, folder, df.limit(0) if name == "no rows" else df, **REFUSED[name])
    assert not folder.exists()
    assert prepared(spark, folder, df)[1].rows == 60


def test_a_corrected_config_replaces_one_whose_rows_were_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Nothing was submitted. What the first prepare wrote is not part of the run."""
    df = tickets(spark, 100)
    with pytest.raises(DuplicateKeyError):
        prepared(spark, tmp_path, df, source={"key": ["priority"]})
    request = {"prompt": "Another {{ body }}", "max_tokens": 40}
    run, manifest = prepared(spark, tmp_path, df, request=request)
    recorded = json.loads((tmp_path / "run.json").read_bytes())
    assert (recorded["run_id"], manifest.run_id) == (run.run_id, run.run_id)
    assert recorded["config"]["request"]["prompt"] == "Another {{ body }}"
    assert len(ids_of(tmp_path, manifest)) == manifest.records == 98
    with pytest.raises(RunFolderError, match=r"holds a run with another request\.prompt"):
        prepared(spark, tmp_path, df)


def test_a_run_that_was_begun_again_meanwhile_is_not_committed(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Another process began it with another config while this one prepared."""
    df = tickets(spark, 60)
    first = begin_run(open_run(make_config(str(tmp_path)), SystemClock()))
    request = {"prompt": "Another {{ body }}", "max_tokens": 40}
    begin_run(open_run(make_config(str(tmp_path), request=request), SystemClock()))
    with pytest.raises(RunFolderError, match="begun this run again with another config"):
        prepare(spark, first, df)
    assert read_manifest(first.storage) is None


def test_a_prepare_that_fails_in_spark_leaves_the_folder_to_a_corrected_config(
    spark: SparkSession, tmp_path: Path
) -> None:
    """The rows are read in tasks, so the run was begun. But only its manifest claims a folder."""
    df = tickets(spark, 60)
    broken = df.withColumn("body", F.expr("if(id = 57, raise_error('no'), body)"))
    with pytest.raises(BedrockSparkError, match="the DataFrame: Spark failed"):
        prepared(spark, tmp_path, broken)
    request = {"prompt": "Another {{ body }}", "max_tokens": 40}
    run, manifest = prepared(spark, tmp_path, df, request=request)
    assert manifest.run_id == run.run_id
    assert manifest.rows == 60
    assert run.config.request.prompt == "Another {{ body }}"
