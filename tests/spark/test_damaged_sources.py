"""Damaged sources: each damage is told as what it is, in one line, before anything is committed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import (
    BedrockSparkError,
    NullKeyError,
    SourceError,
    TooManyRejectsError,
)
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.stage import prepare
from tests.prepared import rejects_file
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

SECRET = "S3CRET"
GOOD = "".join(json.dumps({"id": i, "body": f"hello {i}"}) + "\n" for i in range(40))
TABLE = pa.table({"id": [1, 2], "body": ["a", "b"]})


def prepared(
    spark: SparkSession, folder: Path, df: DataFrame | None = None, **source: Any
) -> RunManifest:
    config = make_config(str(folder / "run"), source={"max_rejects": 0.05, **source})
    return prepare(spark, open_run(config, SystemClock()), df)


def rejects(folder: Path, manifest: RunManifest) -> list[tuple[str, str]]:
    """Return column and reason of every rejected row, sorted."""
    names = ["reject_column", "reject_reason"]
    files = [rejects_file(folder / "run", manifest, r.bucket) for r in manifest.rejects]
    rows = [row for file in files for row in pq.read_table(file, columns=names).to_pylist()]
    return sorted((row["reject_column"], row["reject_reason"]) for row in rows)


def write_failfast(folder: Path) -> dict[str, Any]:
    path = folder / "a.csv"
    path.write_text(f"id,body\n1,a\n2,b,{SECRET}\n")
    return {"format": "csv", "path": str(path), "options": {"header": True, "mode": "FAILFAST"}}


def write_other_types(folder: Path) -> dict[str, Any]:
    pq.write_table(TABLE, folder / "a.parquet")
    pq.write_table(pa.table({"id": [3], "body": [4]}), folder / "b.parquet")
    return {"format": "parquet", "path": str(folder)}


def write_merging(folder: Path) -> dict[str, Any]:
    return {**write_other_types(folder), "options": {"mergeSchema": True}}


def write_half(folder: Path) -> dict[str, Any]:
    pq.write_table(TABLE, folder / "a.parquet")
    whole = (folder / "a.parquet").read_bytes()
    (folder / "b.parquet").write_bytes(whole[: len(whole) // 2])
    return {"format": "parquet", "path": str(folder)}


def write_no_gzip(folder: Path) -> dict[str, Any]:
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"id,body\n1,a\n")[5:])
    return {"format": "csv", "path": str(folder / "a.csv.gz"), "options": {"header": True}}


def write_nothing(folder: Path) -> dict[str, Any]:
    (folder / "a").mkdir()
    return {"format": "parquet", "path": str(folder / "a")}


def write_cast(_: Path) -> dict[str, Any]:
    cast = "CASE WHEN id = 1 THEN raise_error('S3CRET') ELSE 'x' END"
    return {"sql": f"SELECT id, {cast} AS body FROM range(2)"}


UNREADABLE: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "FAILFAST": (write_failfast, "has a malformed record, and mode: FAILFAST stops at the first"),
    "other types": (write_other_types, r"column body of the file /.*/b\.parquet is INT64"),
    "schemas": (write_merging, "schemas of its files do not fit together"),
    "half a file": (write_half, r"the file /.*/b\.parquet is of another format, or its end"),
    "no gzip": (write_no_gzip, r"the file /.*/a\.csv\.gz cannot be read: IOException"),
    "no file": (write_nothing, "there is no file of this format, or no file at all"),
    "a query": (write_cast, r"source\.sql: Spark failed with (USER_RAISED_EXC|RuntimeExc)"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_spark_finds_while_reading_is_one_line(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    """It names the source and the file, shows no value, and has Spark's error as its cause."""
    (tmp_path / "data").mkdir()
    write, said = UNREADABLE[name]
    with pytest.raises(BedrockSparkError, match=said) as caught:
        prepared(spark, tmp_path, **write(tmp_path / "data"))
    text = str(caught.value)
    assert text.startswith("source.")
    assert "\n" not in text
    assert SECRET not in text
    assert caught.value.__cause__ is not None
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_bad_cast_says_where_it_is(spark: SparkSession, tmp_path: Path) -> None:
    """With ANSI, which is the default of Spark 4, and which Spark 3.5 can be told to use."""
    spark.conf.set("spark.sql.ansi.enabled", "true")
    try:
        with pytest.raises(SourceError, match="STRING cannot be cast to INT at line 1, pos") as e:
            prepared(
                spark,
                tmp_path,
                sql=f"SELECT cast(x AS int) id, x body FROM VALUES ('{SECRET}') t(x)",
            )
    finally:
        spark.conf.unset("spark.sql.ansi.enabled")
    assert SECRET not in str(e.value)


def test_a_file_that_vanishes_is_named(spark: SparkSession, tmp_path: Path) -> None:
    """Spark has listed it, and it is deleted before it is read."""
    (tmp_path / "data").mkdir()
    for name in "ab":
        pq.write_table(TABLE, tmp_path / "data" / f"{name}.parquet")
    df = spark.read.parquet(str(tmp_path / "data"))
    (tmp_path / "data" / "b.parquet").unlink()
    with pytest.raises(SourceError, match=r"the file /.*/b\.parquet is not there any more"):
        prepared(spark, tmp_path, df)


def test_lines_that_are_no_json_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    """They are not rows with one key, even if only some columns are kept."""
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD + '{"id": 50, "body": \n{"id": 51, "bo\n')
    source = {"format": "json", "path": str(path), "columns": ["id"]}
    manifest = prepared(spark, tmp_path, **source)
    assert (manifest.rows, manifest.records, manifest.rejected) == (42, 40, 2)
    reject = (
        "_corrupt_record",
        "holds a record that Spark could not parse: its other columns are null",
    )
    assert rejects(tmp_path, manifest) == [reject] * 2


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_read_line_by_line_is_told_as_such(
    spark: SparkSession, tmp_path: Path, indent: int | None
) -> None:
    """Whether its lines are objects or pieces of objects. With the option it is read."""
    rows = [{"id": i, "body": "x"} for i in range(2)]
    lines = ",\n".join(json.dumps(row, indent=indent) for row in rows)
    (tmp_path / "a.json").write_text(f"[\n{lines}\n]\n")
    source = {"format": "json", "path": str(tmp_path / "a.json")}
    with pytest.raises(BedrockSparkError, match=r"If a file is one JSON array.*multiLine: true"):
        prepared(spark, tmp_path, **source)
    assert prepared(spark, tmp_path, **source, options={"multiLine": True}).records == 2


@pytest.mark.parametrize("dedupe", [False, True])
def test_null_keys_are_not_told_as_repeated_keys(
    spark: SparkSession, tmp_path: Path, dedupe: bool
) -> None:
    """Nor are keys that are not UTF-8, whose text would be the same."""
    key = F.when(F.col("n") < 4, None).otherwise(F.col("n").cast("string"))
    bad = F.expr(
        "CASE n WHEN 8 THEN cast(X'6180' AS string) WHEN 9 THEN cast(X'6181' AS string) END"
    )
    df = (
        spark.range(100)
        .select(F.col("id").alias("n"))
        .select(F.coalesce(bad, key).alias("id"), F.concat(F.lit("b"), "n").alias("body"))
    )
    request = {"prompt": "{{ body }}", "max_tokens": 1, "dedupe": dedupe}

    def run(**source: Any) -> RunManifest:
        source = {"max_rejects": 0.05, **source}
        config = make_config(str(tmp_path / "run"), source=source, request=request)
        return prepare(spark, open_run(config, SystemClock()), df)

    with pytest.raises(NullKeyError, match=r"6 of 100 rows.*id is null, so the row has no key: 4"):
        run()
    manifest = run(max_rejects="6%")
    assert (manifest.records, manifest.rejected) == (94, 6)
    assert rejects(tmp_path, manifest) == [
        *[("id", "is not UTF-8, so it cannot be a key")] * 2,
        *[("id", "is null, so the row has no key")] * 4,
    ]


def test_bytes_that_spark_cannot_decode_are_not_asked(spark: SparkSession, tmp_path: Path) -> None:
    """A Latin-1 CSV is refused with the column and the option, and read with the option."""
    lines = [f"{i},{'café' if i < 3 else 'tea'}" for i in range(40)]
    (tmp_path / "a.csv").write_bytes("\n".join(["id,body", *lines, ""]).encode("latin-1"))
    source = {"format": "csv", "path": str(tmp_path / "a.csv")}
    options: dict[str, Any] = {"header": True}
    with pytest.raises(TooManyRejectsError, match=r"3 of 40.*body has U\+FFFD.*encoding.*: 3 rows"):
        prepared(spark, tmp_path, **source, options=options)
    few = prepared(spark, tmp_path, **source, options=options, max_rejects=3)
    assert (few.records, few.rejected) == (37, 3)
    latin = {**source, "options": {**options, "encoding": "ISO-8859-1"}}
    assert prepared(spark, tmp_path / "latin", **latin).records == 40


def test_repeated_keys_that_the_config_leaves_out_are_no_damage(
    spark: SparkSession, tmp_path: Path
) -> None:
    """They do not count towards the default of source.max_rejects."""
    df = spark.range(100).select((F.col("id") % 50).alias("id"), F.lit("x").alias("body"))
    manifest = prepared(spark, tmp_path, df, on_duplicate_key="first")
    assert (manifest.records, manifest.rejected) == (50, 50)
