"""The fallback against the local Bedrock: rounds, what ends them, what is left, what is bought."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ProvisionedModelError, RunHeldError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.lease import Lease
from tests.e2e.conftest import BUCKET, provision
from tests.sparks import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/fallback"
# No shard is large enough for a batch job: all is the fallback's.
SMALL = {"min_records": 1_000, "max_records": 2_000}


def rows_of(spark: SparkSession, count: int) -> DataFrame:
    return spark.range(count).select("id", F.concat(F.lit("ticket number "), "id").alias("body"))


def opened(local: LocalBedrock, **sections: Any) -> Pipeline:
    fallback = {"model_id": CLAUDE, **sections.pop("fallback", {})}
    settings = {"shards": SMALL, **sections}
    return Pipeline.open(
        make_config(URI, endpoint_url=local.endpoint_url, fallback=fallback, **settings)
    )


def test_unanswered_records_are_asked_until_none_is_left(
    spark: SparkSession, bedrock: Start
) -> None:
    """What fails in the first round is answered in the second; nothing is asked that was."""
    local = bedrock({"operations": {"InvokeModel": {"error_first": 12}}})
    report = opened(local, fallback={"attempts": 1}).run_all(spark, rows_of(spark, 40))
    assert report.outcomes["ok"] == report.served_by["fallback"] == 40
    assert local.requests()["InvokeModel"] == 40 + 12
    assert report.findings == []


def test_rounds_are_bounded_and_what_is_left_is_a_table(
    spark: SparkSession, bedrock: Start
) -> None:
    """With its last error; another run answers it and nobody else; then no file is left."""
    local = bedrock({"operations": {"InvokeModel": {"error_rate": 1}}})
    once = {"attempts": 1, "rounds": 2}
    report = opened(local, fallback=once).run_all(spark, rows_of(spark, 20))
    assert local.requests()["InvokeModel"] == 2 * 20
    assert report.outcomes == {"ok": 0, "error": 20, "missing": 0, "rejected": 0}
    (finding,) = report.findings
    assert (finding["kind"], finding["count"]) == ("fallback_ended", 20)
    assert finding["detail"] == "fallback.rounds: 2 are used up"
    pipeline = opened(local, fallback=once)
    left = read_deadletters(pipeline)
    assert sorted(row["id"] for row in left) == list(range(20))
    assert {(row["outcome"], row["error_code"]) for row in left} == {("error", 500)}
    assert set(left[0]) == {
        *("id", "body", "record_id", "outcome", "error_code", "error_message"),
        *("served_by", "attempt", "job_arn"),
    }
    local.set_faults({})
    assert opened(local).run_all(spark).outcomes["ok"] == 20
    assert pipeline.run.storage.list("deadletters/") == []


def read_deadletters(pipeline: Pipeline) -> list[dict[str, Any]]:
    import io

    import pyarrow.parquet as pq

    storage = pipeline.run.storage
    return [
        row
        for found in storage.list("deadletters/")
        for row in pq.read_table(io.BytesIO(storage.read(found.key))).to_pylist()
    ]


def test_permanent_errors_are_left_alone_and_listed(spark: SparkSession, bedrock: Start) -> None:
    """They would be refused again."""
    local = bedrock({"records": [{"share": 0.3, "code": 400}]})
    report = opened(local).run_all(spark, rows_of(spark, 40))
    refused = report.permanent_errors
    assert 0 < refused < 40
    assert local.requests()["InvokeModel"] == 40
    left = read_deadletters(opened(local))
    assert [row["error_code"] for row in left] == [400] * refused
    assert report.findings == []


def test_the_deadline_ends_the_fallback(spark: SparkSession, bedrock: Start) -> None:
    """Nobody is asked after it, and the report says why rows are left."""
    local = bedrock()
    report = opened(local, batch={"deadline_hours": 1e-6}).run_all(spark, rows_of(spark, 20))
    assert "InvokeModel" not in local.requests()
    assert report.outcomes["missing"] == 20
    assert [f["detail"] for f in report.findings] == ["batch.deadline_hours: 1e-06 are over"]


def test_tasks_keep_to_one_limit(spark: SparkSession, bedrock: Start) -> None:
    """Both tasks together: the service, which allows just that, throttles none of them."""
    local = bedrock({"provisioned": {"tokens_per_minute_per_unit": 50_000}}, speed=3_000.0)
    arn = provision(local)
    pipeline = opened(local, fallback={"model_id": arn, "tokens_per_minute": 50_000 * 3_000})
    report = pipeline.run_all(spark, rows_of(spark, 100))
    assert report.outcomes["ok"] == 100
    assert pipeline.run.storage.list("tasks/") == []


def test_throttling_costs_no_attempt(spark: SparkSession, bedrock: Start) -> None:
    """A busy service is waited for, however few attempts there are."""
    local = bedrock({"operations": {"InvokeModel": {"throttle_first": 4}}})
    report = opened(local, fallback={"attempts": 1, "rounds": 1}).run_all(spark, rows_of(spark, 10))
    assert report.outcomes["ok"] == 10


def test_nobody_else_asks_meanwhile(spark: SparkSession, bedrock: Start) -> None:
    """Two machines would pay twice for the same answers."""
    local = bedrock()
    pipeline = opened(local)
    pipeline.prepare(spark, rows_of(spark, 10))
    reconciled = pipeline.collect(spark)
    with Lease(pipeline.run.storage, SystemClock()), pytest.raises(RunHeldError, match="is driven"):
        pipeline.answer_unanswered(spark, reconciled)
    assert "InvokeModel" not in local.requests()
    pipeline.answer_unanswered(spark, reconciled)
    assert local.requests()["InvokeModel"] == 10


def test_options_go_along_with_every_call(spark: SparkSession, bedrock: Start) -> None:
    """InvokeModel takes them in its headers; the local Bedrock checks them by the service model."""
    local = bedrock()
    options = {
        "service_tier": "flex",
        "performance": "optimized",
        "guardrail": {"id": "gr1234567890", "version": 1},
        "content_type": "application/json",
    }
    report = opened(local, fallback=options).run_all(spark, rows_of(spark, 5))
    assert report.outcomes["ok"] == 5


CREATE = {"create": {"model_units": 2, "confirm": True}}


def bought(local: LocalBedrock) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = local.client("bedrock").list_provisioned_model_throughputs()[
        "provisionedModelSummaries"
    ]
    return found


def test_provisioned_throughput_is_bought_for_the_run_and_given_back(
    spark: SparkSession, bedrock: Start
) -> None:
    """Once, for all rounds; a run without stragglers buys none."""
    local = bedrock({"operations": {"InvokeModel": {"error_first": 5}}}, speed=50_000.0)
    pipeline = opened(local, fallback={**CREATE, "attempts": 1})
    report = pipeline.run_all(spark, rows_of(spark, 20))
    assert report.outcomes["ok"] == 20
    assert bought(local) == []
    assert local.requests()["CreateProvisionedModelThroughput"] == 1
    assert local.requests()["DeleteProvisionedModelThroughput"] == 1
    opened(local, fallback=CREATE).run_all(spark)
    assert local.requests()["CreateProvisionedModelThroughput"] == 1


def test_it_is_given_back_when_asking_fails(spark: SparkSession, bedrock: Start) -> None:
    """It bills by the hour, whatever went wrong."""
    local = bedrock({"provisioned": {"fail": "bs-*"}}, speed=50_000.0)
    with pytest.raises(ProvisionedModelError, match="could not be created"):
        opened(local, fallback=CREATE).run_all(spark, rows_of(spark, 5))
    assert bought(local) == []
