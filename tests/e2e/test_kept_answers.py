"""A store of answers in the whole pipeline: the local Bedrock bills what is new, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.e2e.test_run import PLAIN, tickets
from tests.spark_sessions import make_config

pytestmark = pytest.mark.long

STORE = f"s3://{BUCKET}/answers"


def open_pipeline(local: LocalBedrock, name: str, **sections: Any) -> Pipeline:
    config = make_config(
        f"s3://{BUCKET}/runs/{name}",
        endpoint_url=local.endpoint_url,
        answers={"uri": STORE, **sections.pop("answers", {})},
        prices={"batch": {"input": 0.001, "output": 0.002}},
        **sections,
    )
    return Pipeline.open(config, SystemClock())


def answers_of(spark: SparkSession, pipeline: Pipeline) -> dict[int, Any]:
    return {row["id"]: row for row in pipeline.results(spark).collect()}


def bill(local: LocalBedrock) -> dict[str, Any]:
    """Return all that the local Bedrock has counted."""
    totals: dict[str, Any] = local.usage()["totals"]
    return totals


def test_what_did_not_change_is_not_paid_for(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """An unchanged source costs $0 and submits nothing; the day after, only new rows are asked."""
    local = bedrock({**PLAIN, "quotas": {"min_records": 10}})
    df = tickets(spark, 60)
    first = open_pipeline(local, "first")
    first.run_all(spark, df)
    paid, before = bill(local), answers_of(spark, first)

    second = open_pipeline(local, "second", canary={"records": 5})
    report = second.run_all(spark, df)
    assert (report.rows, report.served_by, report.shards) == (
        60,
        {"batch": 0, "fallback": 0, "kept": 60},
        0,
    )
    assert (report.state, report.attempts, second.jobs()) == ("done", 0, {})
    assert report.cost is not None
    assert report.cost["total"] == 0
    assert report.tokens == {"input": 0, "output": 0}
    assert report.saved is not None
    assert report.saved["by_keeping"] > 0
    assert bill(local) == paid
    for number, row in answers_of(spark, second).items():
        own = before[number]
        for name in ("record_id", "text", "model_output", "run_id", "model_id", "answered_at"):
            assert row[name] == own[name]
        assert (row["served_by"], row["cost_usd"]) == ("kept", 0.0)

    changed: DataFrame = tickets(spark, 70).withColumn(
        "body", F.when(F.col("id") < 5, F.lit("other text")).otherwise(F.col("body"))
    )
    third = open_pipeline(local, "third", request={"dedupe": False})
    report = third.run_all(spark, changed)
    assert report.served_by == {"batch": 15, "fallback": 0, "kept": 55}
    assert (report.records, report.sharing) == (11, 4)
    assert bill(local)["records_billed"] - paid["records_billed"] == 11
