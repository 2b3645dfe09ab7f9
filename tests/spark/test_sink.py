"""The place and format of the results are tried in prepare, before anything is paid for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.manifest import read_manifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.existing_columns import fitted, misfits, refuse_misfits
from bedrock_spark.spark.folder import count_files, count_readable
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.publish import publish
from tests.spark_sessions import make_config

pytestmark = [pytest.mark.versions, pytest.mark.long]


def rows(spark: SparkSession, *columns: str) -> DataFrame:
    return spark.range(12).selectExpr("id", "'x' AS body", *columns)


def opened(folder: Path, **results: Any) -> Run:
    results.setdefault("path", str(folder / "published"))
    return open_run(make_config(str(folder / "run"), results=results), SystemClock())


UNPUBLISHABLE = [
    ("csv", "id AS n", r"cannot hold the columns embedding, images, which are arrays"),
    ("CSV", "map('a', id) AS m", r"cannot hold the columns m, embedding, images"),
    ("text", "id AS n", r"cannot hold the columns embedding, images"),
    ("parqet", "id AS n", r"results.format = 'parqet': .*parqet"),
    ("parquet", "named_struct('a', 1, 'A', 2) AS s", r"results.format = 'parquet': "),
]


@pytest.mark.parametrize(("format_", "column", "message"), UNPUBLISHABLE)
def test_what_cannot_be_published_is_refused_in_prepare(
    spark: SparkSession, tmp_path: Path, format_: str, column: str, message: str
) -> None:
    """The message names format and columns. Nothing is written, in the run folder or outside."""
    run = opened(tmp_path, format=format_)
    with pytest.raises(ConfigError, match=message):
        prepare(spark, run, rows(spark, column))
    assert read_manifest(run.storage) is None
    assert run.storage.list("shards/") == []
    assert not (tmp_path / "published").exists()


def test_a_place_that_cannot_be_written_is_refused_in_prepare(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Here a file is where a folder should be."""
    (tmp_path / "file").write_bytes(b"x")
    run = opened(tmp_path, path=str(tmp_path / "file" / "published"))
    with pytest.raises(ConfigError, match=r"results.path = '.*file/published'"):
        prepare(spark, run, rows(spark))
    assert read_manifest(run.storage) is None


@pytest.mark.parametrize("format_", ["parquet", "orc", "json"])
def test_what_can_be_published_leaves_no_trace_of_the_trial(
    spark: SparkSession, tmp_path: Path, format_: str
) -> None:
    """A folder that did not exist does not exist after it, and one that did has the same files."""
    run = opened(tmp_path, format=format_)
    manifest = prepare(spark, run, rows(spark))
    assert not (tmp_path / "published").exists()
    collect(spark, run, manifest, {})
    publish(spark, run, manifest, SystemClock())
    before = sorted(p.name for p in (tmp_path / "published").iterdir())
    second = replace(open_run(make_config(str(tmp_path / "two")), SystemClock()))
    second = replace(
        second, config=second.config.model_copy(update={"results": run.config.results})
    )
    prepare(spark, second, rows(spark))
    assert sorted(p.name for p in (tmp_path / "published").iterdir()) == before


def test_what_others_wrote_stops_prepare(spark: SparkSession, tmp_path: Path) -> None:
    """Not the end of the run. With results.replace, prepare goes on and deletes nothing."""
    place = tmp_path / "published"
    spark.range(2).write.parquet(str(place))
    run = opened(tmp_path)
    with pytest.raises(ConfigError, match=r"results.mode: overwrite would delete them"):
        prepare(spark, run, rows(spark))
    results = run.config.results.model_copy(update={"replace": True})
    run = replace(run, config=run.config.model_copy(update={"results": results}))
    prepare(spark, run, rows(spark))
    assert spark.read.parquet(str(place)).count() == 2


def test_a_published_run_is_not_tried_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is as it is; the same command still works. A prepared run is tried until then."""
    run = opened(tmp_path)
    manifest = prepare(spark, run, rows(spark))
    spark.range(2).write.parquet(str(tmp_path / "published"))
    with pytest.raises(ConfigError, match="did not write"):
        prepare(spark, run)
    collect(spark, run, manifest, {})
    results = run.config.results.model_copy(update={"replace": True})
    publish(
        spark,
        replace(run, config=run.config.model_copy(update={"results": results})),
        manifest,
        SystemClock(),
    )
    spark.range(2).write.mode("overwrite").parquet(str(tmp_path / "published"))
    assert prepare(spark, run) == manifest


@pytest.fixture
def table(spark: SparkSession) -> Iterator[str]:
    name = f"sink_{secrets.token_hex(4)}"
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


def test_a_table_is_tried_and_no_table_is_left(
    spark: SparkSession, tmp_path: Path, table: str
) -> None:
    """Whether it does not exist, or is there and will be replaced."""
    tables = {t.name for t in spark.catalog.listTables()}
    run = opened(tmp_path, path=None, table=table)
    with pytest.raises(ConfigError, match=rf"results.table = '{table}', results.format"):
        prepare(spark, run, rows(spark, "named_struct('a', 1, 'A', 2) AS s"))
    prepare(spark, run, rows(spark))
    assert {t.name for t in spark.catalog.listTables()} == tables


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("id bigint", "there is no column body, record_id, outcome"),
        ("id int", "id is int there and bigint in the results"),
    ],
)
def test_a_table_that_rows_do_not_fit_is_refused_in_prepare(
    spark: SparkSession, tmp_path: Path, table: str, columns: str, message: str
) -> None:
    """In mode append, its columns are compared with those of the results."""
    spark.sql(f"CREATE TABLE {table} ({columns}) USING parquet")
    run = opened(tmp_path, path=None, table=table, mode="append")
    with pytest.raises(ConfigError, match=message):
        prepare(spark, run, rows(spark))


@pytest.mark.parametrize("format_", ["parquet", "json"])
def test_a_second_run_is_appended_to_the_files_of_the_first(
    spark: SparkSession, tmp_path: Path, format_: str
) -> None:
    """The types of JSON files are guesses, so they are not compared."""
    place = str(tmp_path / "published")
    for name in ("one", "two"):
        run = opened(tmp_path / name, path=place, format=format_, mode="append")
        manifest = prepare(spark, run, rows(spark))
        collect(spark, run, manifest, {})
        publish(spark, run, manifest, SystemClock())
    assert spark.read.format(format_).load(place).count() == 24


RESULTS = "id int, at date, tags array<float>, s struct<a:int>"


@pytest.mark.parametrize(
    ("there", "config", "problems"),
    [
        (RESULTS, {"table": "t"}, 0),
        ("ID bigint, At timestamp, tags array<double>, s struct<a:bigint>", {"table": "t"}, 0),
        ("id bigint, at date, tags array<float>, s struct<a:int>", {"path": "p"}, 1),
        ("id string, at string, tags array<string>, s struct<b:int>", {"table": "t"}, 4),
        (f"{RESULTS}, x int, y int", {"table": "t"}, 0),
        (f"{RESULTS}, x int NOT NULL, y int NOT NULL", {"table": "t"}, 1),
        ("id int NOT NULL, at date, tags array<float>, s struct<a:int>", {"table": "t"}, 0),
        (
            "id bigint, at timestamp, tags array<float>, s struct<a:bigint>",
            {"table": "t", "format": "delta"},
            1,
        ),
        (f"{RESULTS}, x int", {"path": "p"}, 0),
        (f"{RESULTS}, x int", {"path": "p", "format": "delta", "mode": "merge"}, 0),
        ("id int", {"table": "t"}, 1),
        ("id int", {"path": "p"}, 0),
        ("id int", {"path": "p", "format": "delta"}, 1),
        ("id string", {"path": "p"}, 1),
    ],
)
def test_columns_fit_by_name_and_type(there: str, config: dict[str, Any], problems: int) -> None:
    """A table widens numbers, files do not. A table may have more columns, if they may be null."""
    config = {"mode": "append", **config}
    results, existing = schema_of(RESULTS), schema_of(there)
    assert len(misfits(ResultsConfig(**config), results, existing)) == problems


def schema_of(ddl: str) -> T.StructType:
    schema = T._parse_datatype_string(ddl)
    assert isinstance(schema, T.StructType)
    return schema


@pytest.mark.parametrize(
    ("name", "mode", "is_refused"),
    [
        ("llm_text", "append", True),
        ("LLM_Label", "append", True),
        ("llm_outcome", "append", False),
        ("llm_record_id", "append", True),
        ("llm_record_id", "merge", False),
        ("text", "append", False),
    ],
)
def test_a_result_column_that_may_be_null_needs_a_column_that_takes_nulls(
    spark: SparkSession, name: str, mode: str, is_refused: bool
) -> None:
    """Else publishing would fail after everything is paid for. Source columns may hold no null."""
    config = ResultsConfig.model_validate(
        {
            "table": "t", "format": "delta", "mode": mode, "prefix": "llm_",
            "parse": "label string NOT NULL",
        }
    )  # fmt: skip
    problems = misfits(config, schema_of(f"{name} string"), schema_of(f"{name} string NOT NULL"))
    assert [f"{name} is NOT NULL there" in p for p in problems] == [True] * is_refused


@pytest.mark.parametrize(
    ("place", "table"),
    [
        ({"table": "lake.a.b", "format": "iceberg"}, "lake.a.b"),
        ({"path": "s3://b/x", "format": "delta"}, "delta.`s3://b/x`"),
    ],
)
def test_the_error_has_the_statement_that_adds_missing_columns(
    spark: SparkSession, place: dict[str, str], table: str
) -> None:
    """Columns do not appear by themselves."""
    config = ResultsConfig.model_validate({"mode": "merge", **place})
    with pytest.raises(ConfigError) as error:
        refuse_misfits(
            config, schema_of("id int, label string, tags array<int>"), schema_of("ID int")
        )
    assert f"ALTER TABLE {table} ADD COLUMNS (`label` string, `tags` array<int>)" in str(
        error.value
    )


@pytest.mark.parametrize(("format_", "others"), [("iceberg", ["note", "More"]), ("delta", [])])
def test_rows_are_cast_to_the_types_that_are_there(
    spark: SparkSession, format_: str, others: list[str]
) -> None:
    """Delta Lake adds the table's other columns itself."""
    df = spark.createDataFrame([(1, {"b": 1}, "x")], "Id int, s struct<b int>, `te.xt` string")
    config = ResultsConfig.model_validate({"mode": "append", "table": "t", "format": format_})
    there = schema_of("id bigint, note string, `te.xt` string, s struct<b int>, More int")
    row = fitted(df, config, there)
    assert row.columns == ["Id", "s", "te.xt", *others]
    assert row.schema["Id"].dataType == T.LongType()
    assert row.collect()[0][:3] == (1, (1,), "x")


@pytest.mark.parametrize("files", [0, 1, 3])
def test_spark_connect_counts_files_by_its_reader(
    spark: SparkSession, tmp_path: Path, files: int
) -> None:
    """It has no JVM to ask. Both ways see the same files, at any depth, and none if none exist."""
    for i in range(files):
        (tmp_path / "a" / f"b{i}").mkdir(parents=True)
        (tmp_path / "a" / f"b{i}" / "x.parquet").write_bytes(b"x")
        (tmp_path / "a" / "_SUCCESS").write_bytes(b"")
        (tmp_path / "a" / "_bedrock_spark.json").write_bytes(b"{}")
    path = str(tmp_path / "a")
    assert count_files(spark, path) == count_readable(spark, path) == files


def test_hidden_files_of_others_count(spark: SparkSession, tmp_path: Path) -> None:
    """Overwriting would delete them, too."""
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_bytes(b"{}")
    (tmp_path / ".hidden").write_bytes(b"x")
    assert count_files(spark, str(tmp_path)) == 2
