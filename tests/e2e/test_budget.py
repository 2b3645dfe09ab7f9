"""The budget against the local Bedrock: checked against an estimate, then before every job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import BudgetError
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
DOLLAR = {"input": 1, "output": 1}  # for 1,000 tokens


def test_a_run_stops_at_its_budget_and_continues_with_a_higher_one(
    spark: SparkSession, bedrock: Start
) -> None:
    """The estimate, the cost of the jobs and the cost of the fallback each stop the run."""
    local = bedrock({"quotas": {"min_records": 10}, "records": [{"share": 0.2, "code": 500}]})

    def open_pipeline(max_cost_usd: float) -> Pipeline:
        sections: dict[str, Any] = {
            "shards": {"max_records": 25},
            # Prices of a dollar for 1,000 tokens are taken for a mistake.
            "batch": {"max_active_jobs": 1, "lint": "ignore"},
            "canary": {"records": 5},
            "fallback": {"model_id": CLAUDE},
            "prices": {"batch": DOLLAR, "fallback": DOLLAR},
            "budget": {"max_cost_usd": max_cost_usd},
        }
        uri = f"s3://{BUCKET}/runs/budget"
        return Pipeline.open(make_config(uri, endpoint_url=local.endpoint_url, **sections))

    rows = spark.range(100).select("id", F.concat(F.lit("ticket number "), "id").alias("body"))
    open_pipeline(0.9).prepare(spark, rows)
    with pytest.raises(BudgetError, match="measured on the 5 records of the canary"):
        open_pipeline(0.9).watch()
    assert "CreateModelInvocationJob" not in local.requests()
    open_pipeline(99).advance()
    with pytest.raises(BudgetError, match="To go on, raise it and run the same command"):
        open_pipeline(0.9).run_all(spark)
    created = local.requests()["CreateModelInvocationJob"]
    assert 1 <= created < len(open_pipeline(0.9).manifest().shards)
    open_pipeline(99).watch()
    invocations = local.requests()["InvokeModel"]
    usage = local.usage()["totals"]
    batch = usage["batch_input_tokens"] + usage["batch_output_tokens"]
    canary = usage["invocation_input_tokens"] + usage["invocation_output_tokens"]
    with pytest.raises(BudgetError, match="the fallback would cost about"):
        open_pipeline((batch + 2 * canary) / 1000 + 0.12).run_all(spark)
    # The fallback asked only as many of the 20 records as the budget had money for.
    assert invocations < local.requests()["InvokeModel"] < invocations + 20
    report = open_pipeline(99).run_all(spark)
    assert report.outcomes["ok"] == 100
    usage = local.usage()["totals"]
    batch = usage["batch_input_tokens"] + usage["batch_output_tokens"]
    single = usage["invocation_input_tokens"] + usage["invocation_output_tokens"]
    assert report.cost is not None
    assert report.canary is not None
    canary = report.canary["input_tokens"] + report.canary["output_tokens"]
    assert report.cost == {
        "batch": pytest.approx(batch / 1000),
        "fallback": pytest.approx((single - canary) / 1000),
        "canary": pytest.approx(canary * 2 / 1000),
        "total": pytest.approx((batch + single + canary) / 1000),
    }
