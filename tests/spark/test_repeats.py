"""Rows that repeat a key, and rows with the same body: what becomes of them, reproducibly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import DuplicateKeyError, TooManyRejectsError
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.shards import record_ids
from bedrock_spark.spark.prepare import key_repeats
from bedrock_spark.spark.prepare import repartitioning as preparing
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.stage import prepare
from tests.prepared import contents_of, digests, narrow_hashes, rows_file
from tests.spark_sessions import make_config

pytestmark = pytest.mark.long

FIRST = {"source": {"key": ["id"], "on_duplicate_key": "first"}}
DEDUPE = {"request": {"dedupe": True}}


def prepared(spark: SparkSession, folder: Path, df: DataFrame, **sections: Any) -> RunManifest:
    return prepare(spark, open_run(make_config(str(folder), **sections), SystemClock()), df)


def rows_of(folder: Path, manifest: RunManifest) -> list[dict[str, Any]]:
    """Return the rows of every shard, each with its shard's id."""
    return [
        {**row, "shard": s.shard_id}
        for s in manifest.shards
        for row in pq.read_table(rows_file(folder, s)).to_pylist()
    ]


def rejects_of(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "rejects").glob("*/*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def lines_of(folder: Path, manifest: RunManifest) -> dict[str, tuple[str, str]]:
    """Return shard and body of every record by its id."""
    by_id = {}
    for shard in manifest.shards:
        for line in (folder / shard.key).read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            assert record["recordId"] not in by_id
            by_id[record["recordId"]] = (shard.shard_id, json.dumps(record["modelInput"]))
    return by_id


def numbered(spark: SparkSession, rows: int, keys: int, bodies: int) -> DataFrame:
    """Return rows with `keys` different keys and `bodies` different bodies; no two are equal."""
    return spark.range(rows).select(
        (F.col("id") % keys).alias("id"),
        F.concat(F.lit("what is "), (F.col("id") % bodies).cast("string")).alias("body"),
        F.col("id").alias("number"),
    )


def test_one_row_of_each_key_is_kept_if_the_config_says_so(
    spark: SparkSession, tmp_path: Path
) -> None:
    """The others are rejects with a reason. The order of the source does not matter."""
    df = numbered(spark, 300, keys=200, bodies=300)
    manifest = prepared(spark, tmp_path / "a", df, **FIRST)
    again = prepared(spark, tmp_path / "b", df.orderBy(F.rand(3)).repartition(5), **FIRST)
    kept, rejects = rows_of(tmp_path / "a", manifest), rejects_of(tmp_path / "a")
    assert sorted(r["id"] for r in kept) == list(range(200))
    assert sorted(r["number"] for r in [*kept, *rejects]) == list(range(300))
    reasons = {(r["reject_column"], r["reject_reason"]) for r in rejects}
    assert reasons == {("id", "repeats the key of another row")}
    assert contents_of(manifest) == contents_of(again)


@pytest.mark.versions
def test_rows_with_the_same_body_share_one_record(spark: SparkSession, tmp_path: Path) -> None:
    """With dedupe a body is sent once, and all its rows are in the shard of its record."""
    df = numbered(spark, 2000, keys=2000, bodies=150)
    manifest = prepared(spark, tmp_path / "a", df, **DEDUPE)
    again = prepared(spark, tmp_path / "b", df.repartition(7), **DEDUPE)
    lines = lines_of(tmp_path / "a", manifest)
    assert (manifest.records, manifest.sharing, manifest.rows) == (150, 1850, 2000)
    assert len({body for _, body in lines.values()}) == len(lines) == 150
    rows = rows_of(tmp_path / "a", manifest)
    assert sorted(r["number"] for r in rows) == list(range(2000))
    for row in rows:
        shard, body = lines[row["_bs_record_id"]]
        assert shard == row["shard"]
        assert json.dumps(f"Classify: {row['body']}") in body
    assert contents_of(manifest) == contents_of(again)


def test_bodies_are_compared_as_they_are_sent(spark: SparkSession, tmp_path: Path) -> None:
    """Rows with different values but equal rendered bodies share a record."""
    df = spark.createDataFrame([(1, "Yes"), (2, "yes"), (3, "no")], "id long, body string")
    request = {"prompt": "Classify: {{ body | lower }}", "dedupe": True}
    manifest = prepared(spark, tmp_path, df, request=request)
    assert (manifest.records, manifest.sharing) == (2, 1)


def test_without_dedupe_equal_bodies_are_two_records(spark: SparkSession, tmp_path: Path) -> None:
    """A user may want two answers to the same question."""
    manifest = prepared(spark, tmp_path, numbered(spark, 90, keys=90, bodies=3))
    assert (manifest.records, manifest.sharing) == (90, 0)


def test_more_rows_than_a_shard_holds_may_share_one_record(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Bounds count records. All rows of a record are in its shard, for any number of rows."""
    df = numbered(spark, 400, keys=400, bodies=2)
    shards = {"max_records": 1, "min_records": 1}
    manifest = prepared(spark, tmp_path, df, **DEDUPE, shards=shards)
    assert sorted(s.rows for s in manifest.shards) == [200, 200]
    assert all(s.records == 1 for s in manifest.shards)


def test_repeated_keys_are_found_among_shared_bodies_too(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Dedupe compares bodies: a repeated key is still an error or a reject."""
    df = numbered(spark, 100, keys=90, bodies=7)
    with pytest.raises(DuplicateKeyError, match="10 rows repeat a key") as caught:
        prepared(spark, tmp_path / "a", df, **DEDUPE)
    assert caught.value.rows == len(rejects_of(tmp_path / "a")) == 10
    manifest = prepared(spark, tmp_path / "b", df, **DEDUPE, **FIRST)
    assert (manifest.records, manifest.records + manifest.sharing) == (7, 90)
    assert len(rejects_of(tmp_path / "b")) == manifest.rejected == 10


@pytest.mark.parametrize(
    ("ids", "most_rows", "expected"),
    [
        ("id", 500_000, True),
        ("id % 29", 500_000, False),
        ("if(id < 2, null, id)", 500_000, False),
        ("if(id < 1, null, id)", 500_000, True),
        ("id", 1, False),
    ],
    ids=[
        "all differ",
        "one repeats",
        "two are null",
        "one is null",
        "too many rows in a partition",
    ],
)
def test_it_is_known_before_the_shuffle_whether_keys_repeat(
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    ids: str,
    most_rows: int,
    expected: bool,
) -> None:
    """Then rows need not be repartitioned by key, or rows of one key would be missed."""
    monkeypatch.setattr(key_repeats, "_MOST_ROWS", most_rows)
    df = spark.range(0, 30, 1, 3).selectExpr(f"{ids} as id", "'text' as body")
    columns = SourceColumns(("id",), ("id",), ("body",))
    config = make_config("/nowhere", **DEDUPE)
    assert key_repeats.with_known_keys(df, columns, config).has_unique_keys is expected
    assert not key_repeats.with_known_keys(df, columns, make_config("/nowhere")).has_unique_keys


def test_without_a_key_the_id_comes_from_the_body(spark: SparkSession, tmp_path: Path) -> None:
    """Anyone can recompute it from the line: XXH64 of the body, seed 42, in base 62."""
    df = numbered(spark, 60, keys=60, bodies=60)
    manifest = prepared(spark, tmp_path, df, source={"key": []})
    for shard in manifest.shards:
        for line in (tmp_path / shard.key).read_bytes().splitlines():
            body = line.split(b'"modelInput":', 1)[1].removesuffix(b"}")
            record_id = json.loads(line)["recordId"]
            assert record_id == record_ids.encode(record_ids.body_hash(body))


def test_bodies_of_one_hash_do_not_share_a_record(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bodies with one hash are two records, and each row has the record of its body."""
    narrow_hashes(monkeypatch, 4)
    df = numbered(spark, 600, keys=600, bodies=40)
    manifest = prepared(spark, tmp_path, df, **DEDUPE)
    lines = lines_of(tmp_path, manifest)
    assert (len(lines), manifest.sharing) == (40, 560)
    for row in rows_of(tmp_path, manifest):
        assert json.dumps(f"Classify: {row['body']}") in lines[row["_bs_record_id"]][1]


@pytest.mark.parametrize("limit", [9, 0.05, "5%", 0])
def test_more_rejects_than_allowed_stop_the_run(
    spark: SparkSession, tmp_path: Path, limit: Any
) -> None:
    """The limit is a number or a share. Nothing is committed, and the error has the reasons."""
    df = numbered(spark, 100, keys=100, bodies=100).withColumn(
        "body", F.when(F.col("id") >= 10, F.col("body"))
    )
    run = open_run(
        make_config(str(tmp_path), source={"key": ["id"], "max_rejects": limit}), SystemClock()
    )
    with pytest.raises(TooManyRejectsError, match=r"10 of 100 rows.*body is null: 10 rows"):
        prepare(spark, run, df)
    assert read_manifest(run.storage) is None
    allowed = make_config(str(tmp_path), source={"key": ["id"], "max_rejects": 10})
    assert prepare(spark, open_run(allowed, SystemClock()), df).rejected == 10


@pytest.mark.versions
def test_a_dataframe_is_computed_once(spark: SparkSession, tmp_path: Path) -> None:
    """A function in it, which may be expensive, is called once per row."""
    calls = spark.sparkContext.accumulator(0)

    @F.udf("string")
    def expensive(text: str) -> str:
        calls.add(1)
        return text.upper()

    df = numbered(spark, 500, keys=500, bodies=500).withColumn("body", expensive("body"))
    assert prepared(spark, tmp_path, df).records == 500
    assert calls.value == 500


@pytest.mark.parametrize(
    ("rows", "factor", "max_files"), [(1000, 3, 1), (340, 3, 3), (340, 0.3, 3)]
)
def test_a_wrong_estimate_changes_no_shard(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    factor: float,
    max_files: int,
) -> None:
    """The number of buckets follows from the exact size, not from the estimate.

    No file of a round with another number of buckets is left.
    """
    df = numbered(spark, rows, keys=rows, bodies=rows)
    shards = {"max_records": 100 * max_files, "max_files": max_files}
    expected = prepared(spark, tmp_path / "a", df, shards=shards)
    estimate_size = preparing.estimate_size

    def wrong_size(*arguments: Any) -> Any:
        size = estimate_size(*arguments)
        return type(size)(int(size.records * factor), size.line_bytes, size.squares)

    monkeypatch.setattr(preparing, "estimate_size", wrong_size)
    manifest = prepared(spark, tmp_path / "b", df, shards=shards)
    assert contents_of(manifest) == contents_of(expected)
    written = (tmp_path / "b" / "shards").rglob("*.jsonl")
    assert len([*written]) == sum(len(shard.sizes) for shard in manifest.shards)
    assert digests(tmp_path / "b") == digests(tmp_path / "a")
