"""Unusual names of columns and fields: with dots, backticks, spaces, dashes and commas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.schema import RESULT_COLUMNS
from bedrock_spark.shards import record_ids
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.results import results
from tests.prepared import prompt_of, records
from tests.spark_sessions import make_config

pytestmark = [pytest.mark.versions, pytest.mark.long]

QUOTED = ("first name", "e-mail", "Größe", "a,b")
DOTTED = ("address.city", "a`b")
# Words of Python, Jinja and SQL, signs that some part must quote, and names that are not words.
ODD = (
    *QUOTED,
    *("true", "None", "loop", "self", "range", "row", "select", "from", "_1", "1st", "😀", " x "),
    *("a'b", 'a"b', "a\\b", "{{ a }}", "{% if %}", "%s", "$1", "a/b", "a\nb", "#", "-"),
)
OWN = ("text", "Outcome", "record_id", "model_output", "error_code")
# Names that no column may have, and what the error says of them.
REFUSED = {
    **dict.fromkeys((*DOTTED, "", "*"), "name that Spark cannot hand"),
    **dict.fromkeys(("_bs_hash", "_BS_Key", "reject_column", "Reject_Reason"), "own columns have"),
    **dict.fromkeys(("ID", "Body"), "if case is ignored"),
}


def prepared(spark: SparkSession, folder: Path, row: dict[str, object]) -> tuple[Run, RunManifest]:
    """Prepare one row of JSON."""
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"id": 1, "body": "x", **row}) + "\n", "utf-8")
    source = {"format": "json", "path": str(path)}
    run = open_run(make_config(str(folder / "run"), source=source), SystemClock())
    return run, prepare(spark, run)


def table_of(spark: SparkSession, *names: str) -> DataFrame:
    """Return one row: an id, a body, and columns of these names that hold their own names."""
    fields = [T.StructField(name, T.StringType()) for name in ("id", "body", *names)]
    return spark.createDataFrame([("1", "x", *names)], T.StructType(fields))


def kept_by_results(
    spark: SparkSession, folder: Path, df: DataFrame, **sections: Any
) -> dict[str, Any]:
    """Prepare and collect a table of one row, and return that row of the results."""
    run = open_run(make_config(str(folder), **sections), SystemClock())
    manifest = prepare(spark, run, df)
    collect(spark, run, manifest, {})
    (result,) = results(spark, run, manifest).collect()
    return dict(result.asDict())


def test_a_column_may_have_any_other_name(spark: SparkSession, tmp_path: Path) -> None:
    """A name that SQL must quote is kept. CSV headers and JSON keys often have such names."""
    result = kept_by_results(spark, tmp_path / "run", table_of(spark, *ODD))
    assert {name: result[name] for name in ODD} == {name: name for name in ODD}
    key = {"key": ["None", "first name", "a\nb"]}
    result = kept_by_results(spark, tmp_path / "keyed", table_of(spark, *ODD), source=key)
    assert result["record_id"] == record_ids.record_id(key["key"])


def test_a_prefix_makes_room_for_the_names_of_result_columns(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Without it they are refused, with both remedies, before anything is written."""
    df = table_of(spark, *OWN)
    for name in OWN:
        with pytest.raises(ConfigError, match=rf"column {name} .*results\.prefix.*source\.rename"):
            kept_by_results(spark, tmp_path / "run", table_of(spark, name))
    assert not (tmp_path / "run").exists()
    result = kept_by_results(spark, tmp_path / "run", df, results={"prefix": "llm_"})
    assert {name: result[name] for name in OWN} == {name: name for name in OWN}
    assert (result["llm_outcome"], result["llm_text"]) == ("missing", None)
    assert [name for name in result if name not in df.columns] == [
        f"llm_{name}" for name in RESULT_COLUMNS
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_name_is_renamed(spark: SparkSession, tmp_path: Path, name: str) -> None:
    """Each is one clear error before anything is written, and works by source.rename."""
    df = table_of(spark, name)
    run = open_run(make_config(str(tmp_path / "run")), SystemClock())
    with pytest.raises(ConfigError, match=REFUSED[name]) as caught:
        prepare(spark, run, df)
    assert "source.rename" in str(caught.value)
    assert not (tmp_path / "run").exists()
    source = {"rename": {name: "other"}, "columns": ["other"]}
    run = open_run(make_config(str(tmp_path / "run"), source=source), SystemClock())
    ((_, row),) = records(tmp_path / "run", prepare(spark, run, df))
    assert (row["id"], row["other"]) == ("1", name)


def test_new_names_are_those_of_key_columns_and_request(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Names may be exchanged. It holds for a path as for a DataFrame."""
    path = tmp_path / "rows.parquet"
    spark.sql("SELECT 7 AS body, 'q' AS id, 'x' AS text").write.parquet(str(path))
    rename = {"body": "id", "id": "question", "text": "body"}
    for name, df in (("path", None), ("df", spark.read.parquet(str(path)))):
        place = {} if df is not None else {"format": "parquet", "path": str(path)}
        source = {"rename": rename, "columns": ["body"], **place}
        request = {"prompt": "{{ question }}"}
        config = make_config(str(tmp_path / name), source=source, request=request)
        manifest = prepare(spark, open_run(config, SystemClock()), df)
        ((record, row),) = records(tmp_path / name, manifest)
        assert prompt_of(record) == "q"
        assert row == {"_bs_record_id": record["recordId"], "id": 7, "body": "x"}
        assert record["recordId"] == record_ids.record_id(["7"])


@pytest.mark.parametrize(
    ("rename", "columns", "message"),
    [
        ({"txt": "x"}, ("text",), "source.rename: the source has no column txt; did you mean text"),
        ({"Text": "x"}, ("text",), "source.rename: the source has no column Text"),
        ({"text": "body"}, ("text",), "more than one column body, if case is ignored"),
        ({"x": "y"}, ("x", "x"), "source.rename: the source has more than one column x"),
    ],
)
def test_a_rename_that_cannot_be_done_is_refused(
    spark: SparkSession, tmp_path: Path, rename: Any, columns: Any, message: str
) -> None:
    """With the reason, before anything is written."""
    config = make_config(str(tmp_path / "run"), source={"rename": rename})
    with pytest.raises(ConfigError, match=message):
        prepare(spark, open_run(config, SystemClock()), table_of(spark, *columns))


@pytest.mark.parametrize("names", [QUOTED, DOTTED], ids=" ".join)
def test_a_field_may_have_any_name(
    spark: SparkSession, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """Collect must return every field that prepare accepted: by then the answers are paid for."""
    run, manifest = prepared(spark, tmp_path, {"who": dict.fromkeys(names, "kept")})
    collect(spark, run, manifest, {})
    (result,) = results(spark, run, manifest).collect()
    assert result["who"].asDict() == dict.fromkeys(names, "kept")


MISSING_SOURCES = {
    "source.path": {"format": "parquet", "path": "/nowhere/tickets"},
    "source.table": {"table": "nowhere.tickets"},
    "source.sql": {"sql": "SELECT * FROM nowhere.tickets"},
    "source.format": {"format": "no.such.format", "path": "/nowhere/tickets"},
}


@pytest.mark.parametrize("key", MISSING_SOURCES)
def test_a_source_that_does_not_exist_is_named(
    spark: SparkSession, tmp_path: Path, key: str
) -> None:
    """A wrong path, table, query or format is a ConfigError that names the key."""
    run = open_run(make_config(str(tmp_path), source=MISSING_SOURCES[key]), SystemClock())
    with pytest.raises(ConfigError, match=key):
        prepare(spark, run)
