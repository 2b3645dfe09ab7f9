"""The canary against the local Bedrock: a few records of the shards, before the first job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import CanaryError
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, CLAUDE_MODEL, make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/canary"
PLAIN = {"quotas": {"min_records": 10}}
DEFAULT: dict[str, Any] = {"records": 5}


def tickets(spark: SparkSession, rows: int) -> DataFrame:
    return spark.range(rows).select("id", F.concat(F.lit("ticket number "), "id").alias("body"))


@pytest.mark.parametrize("invocation", ["invoke_model", "converse"])
def test_the_canary_asks_a_few_records_once(
    spark: SparkSession, bedrock: Start, invocation: str
) -> None:
    """The report has its tokens. The batch jobs still ask every record."""
    local = bedrock(PLAIN | {"operations": {"InvokeModel": {"throttle_first": 1}}})
    model = {"id": CLAUDE, "invocation": invocation}
    config = make_config(URI, endpoint_url=local.endpoint_url, canary=DEFAULT, model=model)
    reports = [Pipeline.open(config).run_all(spark, tickets(spark, 60)) for _ in range(2)]
    assert [r.outcomes["ok"] for r in reports] == [60, 60]
    usage = local.usage()
    assert usage["totals"]["records_billed"] == 60
    assert usage["totals"]["invocations"] == 5
    assert (usage["paid_again"]["records"], usage["paid_again"]["answers"]) == (5, 5)
    for report in reports:
        assert report.canary == {
            "asked": 5,
            "answered": 5,
            "refused": 0,
            "truncated": 0,
            "declined": 0,
            "input_tokens": usage["totals"]["invocation_input_tokens"],
            "output_tokens": usage["totals"]["invocation_output_tokens"],
        }


def test_a_body_that_the_model_refuses_costs_no_batch_job(
    spark: SparkSession, bedrock: Start
) -> None:
    """Errors are grouped and quote no row. Without the canary the same request is submitted."""
    local = bedrock(PLAIN)
    message = {"role": "user", "contents": "{{ body }}"}
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [message]}
    sections: dict[str, Any] = {
        "endpoint_url": local.endpoint_url,
        "request": {"prompt": None, "max_tokens": None, "body": body},
    }
    pipeline = Pipeline.open(make_config(URI, canary=DEFAULT, **sections))
    pipeline.prepare(spark, tickets(spark, 60))
    for submit in (pipeline.watch, pipeline.advance):
        with pytest.raises(CanaryError, match="5 of 5 records were refused") as caught:
            submit()
        assert "5 with 400 ValidationException: messages.0" in str(caught.value)
        assert "ticket number" not in str(caught.value)
    assert "CreateModelInvocationJob" not in local.requests()
    assert local.usage()["totals"]["invocations"] == 0
    without = Pipeline.open(make_config(URI, canary={"records": 0}, **sections))
    assert without.run_all(spark).outcomes["error"] == 60


def test_an_unknown_canary_model_is_an_error(spark: SparkSession, bedrock: Start) -> None:
    """The same run continues with another model of the same family as its canary."""
    local = bedrock(PLAIN)
    settings: dict[str, Any] = {"endpoint_url": local.endpoint_url}
    wrong = make_config(URI, canary=DEFAULT | {"model_id": "no.such-model-v1:0"}, **settings)
    with pytest.raises(CanaryError, match=r"no\.such-model-v1:0 cannot be called on demand"):
        Pipeline.open(wrong).run_all(spark, tickets(spark, 60))
    assert "CreateModelInvocationJob" not in local.requests()
    right = make_config(URI, canary=DEFAULT | {"model_id": f"global.{CLAUDE_MODEL}"}, **settings)
    assert Pipeline.open(right).run_all(spark).canary is not None
    assert local.usage()["invocations"].keys() == {f"global.{CLAUDE_MODEL}"}


def test_a_run_without_batch_jobs_has_no_canary(spark: SparkSession, bedrock: Start) -> None:
    """All of its records are single calls of the fallback anyway."""
    local = bedrock(PLAIN)
    config = make_config(
        URI, endpoint_url=local.endpoint_url, canary=DEFAULT, fallback={"model_id": CLAUDE}
    )
    report = Pipeline.open(config).run_all(spark, tickets(spark, 5))
    assert (report.canary, report.served_by["fallback"]) == (None, 5)
    assert local.usage()["totals"]["invocations"] == 5


def test_a_limit_that_is_too_low_costs_no_batch_job(spark: SparkSession, bedrock: Start) -> None:
    """The error names a limit that is enough; a new run with it passes."""
    local = bedrock(PLAIN)
    local.set_answers({"thinks": 30, "text": "Done."})
    sections: dict[str, Any] = {"endpoint_url": local.endpoint_url, "canary": DEFAULT}
    low = make_config(URI, request={"prompt": "{{ body }}", "max_tokens": 10}, **sections)
    pipeline = Pipeline.open(low)
    pipeline.prepare(spark, tickets(spark, 20))
    with pytest.raises(CanaryError, match="with 40 they were whole") as caught:
        pipeline.watch()
    assert "5 of 5 answers" in str(caught.value)
    assert "CreateModelInvocationJob" not in local.requests()
    assert local.usage()["totals"]["invocations"] == 5 * 3, "with 10, 20 and 40 tokens"
    enough = make_config(f"{URI}2", request={"prompt": "{{ body }}", "max_tokens": 40}, **sections)
    report = Pipeline.open(enough).run_all(spark, tickets(spark, 20))
    assert report.outcomes["ok"] == 20
