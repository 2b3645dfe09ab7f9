"""Runs against the local Bedrock: models of no known family, thinking, new embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import all_outcomes
from tests.e2e.conftest import BUCKET
from tests.models import CLAUDE
from tests.spark_sessions import make_config
from tests.unit.files import PNG

Start = Callable[..., LocalBedrock]
QUOTAS = {"quotas": {"min_records": 10}}
ROWS = 24


def mails(spark: SparkSession) -> DataFrame:
    texts = [(i, f"Mail {i}: the lamp in the hall is broken.", PNG) for i in range(ROWS)]
    return spark.createDataFrame(texts, "mail_id int, body string, photo binary")


def pipeline_of(local: LocalBedrock, name: str, model: str, **sections: Any) -> Pipeline:
    request = {"prompt": "Sum up: {{ body }}", **sections.pop("request", {})}
    return Pipeline.open(
        make_config(
            f"s3://{BUCKET}/runs/{name}",
            endpoint_url=local.endpoint_url,
            source={"key": ["mail_id"], "columns": ["mail_id"]},
            model={"id": model},
            request=request,
            **sections,
        )
    )


@pytest.mark.parametrize(
    ("model", "request_", "thinks"),
    [
        ("us.xai.grok-4.7", {"max_tokens": 300, "thinking": "low"}, True),
        ("mx.zai.glm-5", {"max_tokens": 300}, False),
        ("qwen.qwen3-vl-235b-a22b", {"max_tokens": 300, "images": "photo"}, False),
        (CLAUDE, {"max_tokens": 3_000, "thinking": {"budget_tokens": 2_000}}, True),
        ("us.amazon.nova-2-lite-v1:0", {"max_tokens": 300, "thinking": "medium"}, True),
        ("openai.gpt-oss-120b-1:0", {"max_tokens": 300, "thinking": "low"}, True),
    ],
)
def test_a_run_is_answered_as_a_whole(
    spark: SparkSession, bedrock: Start, model: str, request_: dict[str, Any], thinks: bool
) -> None:
    """By batch jobs of the type that the family has."""
    local = bedrock(QUOTAS)
    pipeline = pipeline_of(local, "new-model", model, request=request_)
    report = pipeline.run_all(spark, mails(spark))
    assert report.outcomes == all_outcomes({"ok": ROWS})
    assert report.findings == []
    rows = pipeline.results(spark).collect()
    assert len({row.text for row in rows}) > 1
    assert all((row.reasoning is not None) == thinks for row in rows)
    runtime = local.client("bedrock")
    jobs = runtime.list_model_invocation_jobs()["invocationJobSummaries"]
    assert {job["modelInvocationType"] for job in jobs} == {pipeline_type(pipeline)}


def pipeline_type(pipeline: Pipeline) -> str:
    """Return the type that the run's config stands for."""
    family = pipeline.run.config.model.family
    return "Converse" if family == "converse" else "InvokeModel"


@pytest.mark.parametrize(
    ("model", "request_", "length"),
    [
        ("us.cohere.embed-v4:0", {"images": "photo", "dimensions": 256}, 256),
        ("amazon.nova-2-multimodal-embeddings-v1:0", {"input_type": "clustering"}, 3_072),
    ],
)
def test_a_table_is_embedded(
    spark: SparkSession, bedrock: Start, model: str, request_: dict[str, Any], length: int
) -> None:
    """Every row has a vector of the length that was asked for, or that the model has."""
    request = {**request_, "max_tokens": None}
    pipeline = pipeline_of(bedrock(QUOTAS), "vectors", model, request=request)
    report = pipeline.run_all(spark, mails(spark))
    assert report.outcomes == all_outcomes({"ok": ROWS})
    assert {len(row.embedding) for row in pipeline.results(spark).collect()} == {length}
