"""The whole pipeline against the local Bedrock, over HTTP, with faults that real runs meet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.browse import read_results
from bedrock_spark.cli import main
from bedrock_spark.errors import (
    ConfigError,
    InvokeRefusedError,
    JobRejectedError,
    PlanError,
    ProvisionedModelError,
    RunCleanedError,
    RunFolderError,
)
from bedrock_spark.fallback.rounds import unanswered_rows
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET, provision
from tests.spark_sessions import CLAUDE_MODEL, make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/tickets"

TROUBLE = {
    "operations": {
        "CreateModelInvocationJob": {"throttle_first": 1},
        "InvokeModel": {"throttle_first": 2},
        "ListModelInvocationJobs": {"throttle_first": 1},
        "ListServiceQuotas": {"error_rate": 1.0},  # so the number of slots is learnt
    },
    "quotas": {"active_jobs": 3, "min_records": 10},
    "records": [{"share": 0.05, "code": 500}, {"share": 0.03, "code": 400, "message": "no"}],
    "jobs": [
        {"nth": [2], "end": "Expired"},
        {"nth": [3], "end": "PartiallyCompleted", "processed_share": 0.5},
        {"nth": [4], "end": "Failed", "message": "an internal error"},
    ],
}
PLAIN = {"quotas": {"min_records": 10}}


def tickets(spark: SparkSession, rows: int) -> DataFrame:
    return spark.range(rows).select("id", F.concat(F.lit("ticket number "), "id").alias("body"))


@pytest.mark.versions
def test_every_row_is_answered_or_accounted_for(spark: SparkSession, bedrock: Start) -> None:
    """With throttling, quotas, failed records and failed jobs, nothing is lost or paid twice."""
    local = bedrock(TROUBLE)
    config = make_config(
        URI,
        endpoint_url=local.endpoint_url,
        batch={"attempts": 3},
        fallback={"model_id": provision(local)},
    )
    df = bedrock_spark.run(spark, tickets(spark, 600), config)
    rows = df.collect()
    assert sorted(row["id"] for row in rows) == list(range(600))
    report = json.loads(Pipeline.open(config).run.storage.read("report.json"))
    assert report["rows"] == 600 == sum(report["outcomes"].values())
    assert report["outcomes"]["missing"] == report["unanswered"] == 0
    assert 0 < report["outcomes"]["error"] < 60
    assert {row["error_code"] for row in rows if row["outcome"] == "error"} == {400}
    served = Counter(row["served_by"] for row in rows if row["outcome"] == "ok")
    assert served == report["served_by"]
    assert served["fallback"] > 0
    assert report["jobs"].keys() >= {"Completed", "Expired", "Failed", "PartiallyCompleted"}
    refused = local.errors()
    assert refused["CreateModelInvocationJob ServiceQuotaExceededException"] > 0
    assert refused["CreateModelInvocationJob ThrottlingException"] > 0
    usage = local.usage()
    # Two jobs answered nothing, the expired and the failed one: only they were submitted again.
    assert len({job["input_uri"] for job in usage["jobs"]}) == len(usage["jobs"])
    assert len(usage["jobs"]) == report["shards"]
    assert report["attempts"] == sum(report["jobs"].values()) == report["shards"] + 2
    assert usage["paid_again"]["records"] == 0
    assert usage["totals"]["records_billed"] == served["batch"]
    assert usage["totals"]["invocations"] == served["fallback"]
    assert report["tokens"]["input"] == (
        usage["totals"]["batch_input_tokens"] + usage["totals"]["invocation_input_tokens"]
    )


def test_running_again_costs_nothing(spark: SparkSession, bedrock: Start) -> None:
    """A finished run that is run again submits no job, asks no record, and reports the same.

    Once it is cleaned, it is refused, also in a process that opened it before; its results stay.
    """
    local = bedrock(PLAIN)
    config = make_config(
        URI, endpoint_url=local.endpoint_url, fallback={"model_id": provision(local)}
    )
    first = Pipeline.open(config).run_all(spark, tickets(spark, 60))
    created = local.requests()["CreateModelInvocationJob"]
    second = Pipeline.open(config).run_all(spark, tickets(spark, 60))
    assert (second.outcomes, second.jobs, second.tokens) == (
        first.outcomes,
        first.jobs,
        first.tokens,
    )
    assert local.requests()["CreateModelInvocationJob"] == created
    assert "InvokeModel" not in local.requests()
    stale = Pipeline.open(config)
    place = (URI, "--endpoint-url", local.endpoint_url)
    done = CliRunner().invoke(main, ["clean", *place, "--yes", "--json"])
    assert json.loads(done.stdout)["objects"] > 0, done.output
    for pipeline in (lambda: stale, lambda: Pipeline.open(config)):
        with pytest.raises(RunCleanedError):
            pipeline().run_all(spark, tickets(spark, 60))
    assert local.requests()["CreateModelInvocationJob"] == created
    assert "InvokeModel" not in local.requests()
    assert read_results(URI, endpoint_url=local.endpoint_url).num_rows == 60
    status = CliRunner().invoke(main, ["status", *place, "--json"])
    assert (json.loads(status.stdout)["stage"], second.state) == ("cleaned", "done")


@pytest.mark.versions
def test_converse_and_embeddings(spark: SparkSession, bedrock: Start) -> None:
    """Converse requests and embeddings work, each by batch and by the fallback."""
    local = bedrock({"quotas": {"min_records": 10}, "records": [{"share": 0.2, "code": 500}]})
    settings: dict[str, Any] = {"endpoint_url": local.endpoint_url}
    converse = make_config(
        f"{URI}-converse",
        model={"id": "us.amazon.nova-lite-v1:0", "invocation": "converse"},
        fallback={"model_id": "us.amazon.nova-lite-v1:0"},
        **settings,
    )
    chat = bedrock_spark.run(spark, tickets(spark, 30), converse).collect()
    assert {(r["outcome"], bool(r["text"]), r["output_tokens"] > 0) for r in chat} == {
        ("ok", True, True)
    }
    assert {r["served_by"] for r in chat} == {"batch", "fallback"}
    embed = make_config(
        f"{URI}-embed",
        model={"id": "amazon.titan-embed-text-v2:0"},
        request={"prompt": "{{ body }}", "max_tokens": None},
        fallback={"model_id": "amazon.titan-embed-text-v2:0"},
        **settings,
    )
    vectors = bedrock_spark.run(spark, tickets(spark, 30), embed).collect()
    assert {r["outcome"] for r in vectors} == {"ok"}
    assert all(sum(x * x for x in r["embedding"]) == pytest.approx(1, abs=1e-3) for r in vectors)


def test_an_application_inference_profile(spark: SparkSession, bedrock: Start) -> None:
    """Its ARN hides the model. The family is looked up once per run and kept in the run folder."""
    local = bedrock({"quotas": {"min_records": 10}, "records": [{"share": 0.2, "code": 500}]})
    source = f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}"
    arn = local.client("bedrock").create_inference_profile(
        inferenceProfileName="team-a", modelSource={"copyFrom": source}
    )["inferenceProfileArn"]
    config = make_config(
        URI, endpoint_url=local.endpoint_url, model={"id": arn}, fallback={"model_id": arn}
    )
    rows = bedrock_spark.run(spark, tickets(spark, 60), config).collect()
    assert {(r["outcome"], bool(r["text"]), r["output_tokens"] > 0) for r in rows} == {
        ("ok", True, True)
    }
    assert {r["served_by"] for r in rows} == {"batch", "fallback"}
    assert Pipeline.open(config).run.config.model.family == "anthropic"
    # Once for the family, and once for the life of the model behind it.
    assert local.requests()["GetInferenceProfile"] == 2


def test_a_run_below_the_minimum_goes_to_the_fallback(spark: SparkSession, bedrock: Start) -> None:
    """The fallback answers them. Without a fallback the run is refused early."""
    local = bedrock()
    settings: dict[str, Any] = {"endpoint_url": local.endpoint_url, "shards": {"min_records": 100}}
    with pytest.raises(PlanError, match="below shards"):
        bedrock_spark.run(spark, tickets(spark, 5), make_config(f"{URI}-a", **settings))
    config = make_config(f"{URI}-b", fallback={"model_id": provision(local)}, **settings)
    rows = bedrock_spark.run(spark, tickets(spark, 5), config).collect()
    assert [(r["outcome"], r["served_by"]) for r in rows] == [("ok", "fallback")] * 5
    assert "CreateModelInvocationJob" not in local.requests()


def test_a_refused_job_says_what_to_check(spark: SparkSession, bedrock: Start) -> None:
    """A denied role is an error with advice. With access the same run is finished."""
    local = bedrock({"quotas": {"min_records": 10}, "access": {"denied_roles": ["*"]}})
    config = make_config(URI, endpoint_url=local.endpoint_url)
    with pytest.raises(JobRejectedError, match="Check"):
        bedrock_spark.run(spark, tickets(spark, 60), config)
    local.set_faults(PLAIN)
    rows = bedrock_spark.run(spark, tickets(spark, 60), config)
    assert rows.where("outcome = 'ok'").count() == 60


def test_an_unusable_fallback_model_is_an_error_before_any_cost(
    spark: SparkSession, bedrock: Start
) -> None:
    """A provisioned model that does not exist, or has another family, stops the run at once."""
    local = bedrock(PLAIN)
    gone = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl"
    for model_id in (gone, provision(local, "openai.gpt-oss-20b-1:0")):
        config = make_config(URI, endpoint_url=local.endpoint_url, fallback={"model_id": model_id})
        with pytest.raises(ProvisionedModelError, match=r"fallback\.model_id"):
            bedrock_spark.run(spark, tickets(spark, 60), config)
    assert "CreateModelInvocationJob" not in local.requests()


def test_a_fallback_that_is_refused_loses_nothing(spark: SparkSession, bedrock: Start) -> None:
    """A model id that does not exist stops the fallback. With another id the run is finished."""
    local = bedrock({"quotas": {"min_records": 10}, "records": [{"share": 0.2, "code": 500}]})
    settings: dict[str, Any] = {"endpoint_url": local.endpoint_url}
    wrong = make_config(URI, fallback={"model_id": "no.such-model-v1:0"}, **settings)
    with pytest.raises(InvokeRefusedError, match=r"no\.such-model-v1:0"):
        bedrock_spark.run(spark, tickets(spark, 60), wrong)
    right = make_config(URI, fallback={"model_id": provision(local)}, **settings)
    rows = bedrock_spark.run(spark, tickets(spark, 60), right)
    assert rows.where("outcome = 'ok'").count() == 60
    assert local.usage()["paid_again"]["records"] == 0


def test_the_fallback_waits_for_the_batch_jobs(spark: SparkSession, bedrock: Start) -> None:
    """While a job may still answer a record, the fallback would pay for the answer twice."""
    local = bedrock(PLAIN, speed=0)
    config = make_config(
        URI, endpoint_url=local.endpoint_url, fallback={"model_id": provision(local)}
    )
    pipeline = Pipeline.open(config)
    pipeline.prepare(spark, tickets(spark, 60))
    for _ in range(2):
        with pytest.raises(RunFolderError, match="1 of 1 shards still wait"):
            pipeline.fall_back(spark, pipeline.collect(spark))
        assert not pipeline.advance().is_done
    local.advance_clock(24 * 3600)
    assert pipeline.advance().is_done
    assert unanswered_rows(pipeline.fall_back(spark, pipeline.collect(spark))) == 0
    assert "InvokeModel" not in local.requests()


def test_a_run_folder_keeps_its_request(spark: SparkSession, bedrock: Start) -> None:
    """Another prompt for the same run folder is an error that names the key, not the prompt."""
    local = bedrock(PLAIN)
    settings: dict[str, Any] = {"endpoint_url": local.endpoint_url}
    bedrock_spark.run(spark, tickets(spark, 20), make_config(URI, **settings))
    other = make_config(URI, request={"prompt": "Secretly: {{ body }}"}, **settings)
    with pytest.raises(RunFolderError, match=r"request\.prompt") as caught:
        bedrock_spark.run(spark, tickets(spark, 20), other)
    assert "Secretly" not in str(caught.value)


def test_batch_jobs_need_s3(spark: SparkSession, tmp_path: Any) -> None:
    """A local run folder is refused before anything is done."""
    with pytest.raises(ConfigError, match="S3 only"):
        bedrock_spark.run(spark, tickets(spark, 20), make_config(str(tmp_path)))
