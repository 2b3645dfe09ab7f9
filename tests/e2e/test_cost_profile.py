"""`batch.cost_profile` on a local Bedrock: the jobs of a run name a tagged profile of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.models import CLAUDE_MODEL
from tests.spark_sessions import make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/tickets"


def profiles(local: LocalBedrock) -> list[dict[str, Any]]:
    listed = local.client("bedrock").list_inference_profiles(typeEquals="APPLICATION")
    summaries: list[dict[str, Any]] = listed["inferenceProfileSummaries"]
    return summaries


def test_the_jobs_of_a_run_use_its_profile_until_it_is_done(
    spark: SparkSession, bedrock: Start
) -> None:
    """Every attempt names the same profile. It is there until the results are final."""
    trouble = [{"nth": [1], "end": "Failed", "message": "an internal error"}]
    local = bedrock({"quotas": {"min_records": 10}, "jobs": trouble})
    batch = {"cost_profile": True, "attempts": 2, "tags": {"team": "search"}}
    config = make_config(URI, endpoint_url=local.endpoint_url, batch=batch)
    source = spark.range(60).select("id", F.concat(F.lit("ticket "), "id").alias("body"))

    pipeline = Pipeline.open(config)
    pipeline.prepare(spark, source)
    pipeline.watch()
    (profile,) = profiles(local)
    jobs = local.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
    assert len(jobs) >= 2
    assert {job["modelId"] for job in jobs} == {profile["inferenceProfileArn"]}
    assert profile["models"][0]["modelArn"].endswith(f"/{CLAUDE_MODEL}")
    tags = local.client("bedrock").list_tags_for_resource(
        resourceARN=profile["inferenceProfileArn"]
    )
    assert {"key": "bedrock-spark-run", "value": pipeline.run.run_id} in tags["tags"]

    report = Pipeline.open(config).run_all(spark, source)
    assert (report.state, report.outcomes["ok"]) == ("done", 60)
    assert profiles(local) == []
    assert local.usage()["paid_again"]["records"] == 0
