"""A run whose source is another run, against the local Bedrock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import ConfigError, SourceError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder import layout
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
FIRST, SECOND = (f"s3://{BUCKET}/runs/{name}" for name in ("first", "second"))
# The larger model, for which the scripts below have other answers.
LARGER = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
# No shard is large enough for a batch job: the fallback asks all records.
SMALL = {"min_records": 1_000, "max_records": 2_000}
SCRIPT = {
    "answers": [
        {"model": "*sonnet*", "text": "by the larger one"},
        {"match": "ticket 1", "error": {"code": "InternalServerException", "message": "no"}},
        {"text": {"label": "contract"}},
    ]
}


def rows_of(spark: SparkSession, count: int = 20) -> DataFrame:
    body = F.concat(F.lit("ticket "), F.col("id"))
    return spark.range(count).select("id", body.alias("body"), F.lit("x").alias("unread"))


def open_pipeline(local: LocalBedrock, uri: str, model: str = CLAUDE, **sections: Any) -> Pipeline:
    source = sections.pop("source", {})
    config = make_config(
        uri,
        endpoint_url=local.endpoint_url,
        model={"id": model},
        fallback={"model_id": model, "attempts": 1, "rounds": 1},
        **{"shards": SMALL, "source": {"key": [] if source else ["id"], **source}, **sections},
    )
    return Pipeline.open(config)


@pytest.mark.long
def test_the_rows_that_failed_are_asked_by_another_model(
    spark: SparkSession, bedrock: Start
) -> None:
    """Keys and kept columns follow. A later change of the first run is told, and asks nothing."""
    local = bedrock()
    local.set_answers(*SCRIPT["answers"])
    first = open_pipeline(local, FIRST, results={"parse": {"columns": "label string"}})
    assert first.run_all(spark, rows_of(spark)).outcomes["error"] == 11
    before = local.requests()["InvokeModel"]
    source = {"run": FIRST, "outcome": ["error", "missing"], "where": "id <> 1"}
    request = {"prompt": "{{ body }} was {{ outcome }}: {{ error_message }}", "max_tokens": 40}
    second = open_pipeline(local, SECOND, LARGER, source=source, request=request)
    report = second.run_all(spark)
    assert (report.rows, report.outcomes["ok"], report.state) == (10, 10, DONE)
    assert local.requests()["InvokeModel"] == before + 10
    results = second.results(spark)
    assert results.columns[:4] == ["id", "body", "unread", "record_id"]
    asked = {row["id"]: row for row in results.collect()}
    assert set(asked) == set(range(10, 20))
    assert {row["text"] for row in asked.values()} == {"by the larger one"}
    ids = {row["id"]: row["record_id"] for row in first.results(spark).collect()}
    assert all(ids[key] == row["record_id"] for key, row in asked.items())
    lineage = json.loads(second.run.storage.read("run.json"))["derived_from"]
    assert lineage == report.derived_from
    assert (lineage["run_id"], lineage["outcomes"]) == (first.run.run_id, ["error", "missing"])
    assert report.findings == []
    # Collect has other results now.
    (key,) = [stored.key for stored in first.run.storage.list(f"{layout.RECONCILIATION}/")]
    changed = first.run.storage.read(key).replace(b'"fingerprint":"', b'"fingerprint":"new-')
    first.run.storage.write(key, changed)
    late = open_pipeline(local, SECOND, LARGER, source=source, request=request)
    (finding,) = late.report(late.collect(spark)).findings
    assert finding["kind"] == "source_changed"
    assert f"of the results of {first.run.run_id} now" in finding["detail"]


def test_a_run_without_rows_is_over_at_once(spark: SparkSession, bedrock: Start) -> None:
    """With results that have columns and no rows, which can be the source of a run, too."""
    local = bedrock()
    open_pipeline(local, FIRST).run_all(spark, rows_of(spark, 5))
    before = local.requests()
    places = [(SECOND, FIRST, "error"), (f"s3://{BUCKET}/runs/third", SECOND, "all")]
    for uri, run, outcome in places:
        pipeline = open_pipeline(local, uri, source={"run": run, "outcome": outcome})
        report = pipeline.run_all(spark)
        assert (report.rows, report.state, report.findings) == (0, DONE, [])
        results = pipeline.results(spark)
        assert results.columns[:4] == ["id", "body", "unread", "record_id"]
        assert results.count() == 0
    assert local.requests()["InvokeModel"] == before["InvokeModel"]
    assert "CreateModelInvocationJob" not in local.requests()


def test_rows_that_may_still_be_answered_are_not_asked_twice(
    spark: SparkSession, bedrock: Start
) -> None:
    """Nor rows of a run that is not collected. Its answers may be read; nothing is paid for."""
    local = bedrock()
    local.set_answers(*SCRIPT["answers"])
    first = open_pipeline(local, FIRST, shards={"min_records": 5, "max_records": 100})
    first.prepare(spark, rows_of(spark))
    failed = {"run": FIRST, "outcome": "error"}
    with pytest.raises(SourceError, match="1 of its 1 shards are not collected yet"):
        open_pipeline(local, SECOND, source=failed).run_all(spark)
    first.collect(spark)
    first.report(first.collect(spark))
    with pytest.raises(SourceError, match="1 shard has an active batch job or waits for one"):
        open_pipeline(local, SECOND, source={"run": FIRST, "outcome": "missing"}).run_all(spark)
    assert open_pipeline(local, SECOND, source={"run": FIRST}).run_all(spark).rows == 0
    assert "InvokeModel" not in local.requests()


@pytest.mark.long
def test_columns_of_the_results_are_kept_under_other_names(
    spark: SparkSession, bedrock: Start
) -> None:
    """The error says how. A condition that Spark does not understand is one of the config."""
    local = bedrock()
    open_pipeline(local, FIRST).run_all(spark, rows_of(spark, 5))
    source: dict[str, Any] = {"run": FIRST, "columns": ["text"]}
    with pytest.raises(ConfigError, match=r"its column text .*source.rename: {text: …}"):
        open_pipeline(local, SECOND, source=source).prepare(spark)
    source = {"run": FIRST, "columns": ["first"], "rename": {"text": "first"}}
    with pytest.raises(ConfigError, match=r"source\.where: .*nothing"):
        open_pipeline(local, SECOND, source={**source, "where": "nothing = 1"}).prepare(spark)
    pipeline = open_pipeline(
        local,
        SECOND,
        source={**source, "where": "first IS NOT NULL"},
        request={"prompt": "{{ first }}", "max_tokens": 40},
    )
    assert pipeline.prepare(spark).rows == 5
    assert pipeline.manifest().kept_columns == ("id", "first")
