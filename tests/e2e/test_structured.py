"""The example of docs/structured.md as runs against the local Bedrock: nested columns, each way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import CanaryError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import all_outcomes
from tests.docs import ROOT
from tests.e2e.conftest import BUCKET
from tests.models import CLAUDE, NOVA
from tests.spark_sessions import make_config

DOC = (ROOT / "docs" / "structured.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(x) for x in re.findall(r"```yaml example\n(.*?)```", DOC, re.DOTALL)]
GPT_OSS = "openai.gpt-oss-120b-1:0"
QUOTAS = {"quotas": {"min_records": 10}}
ROWS = 24


def mails(spark: SparkSession) -> DataFrame:
    texts = [
        (i, f"Dear shop, {i % 3 + 1} lamps and a chair for the house in Bern. Thanks, Ann Berg")
        for i in range(ROWS)
    ]
    return spark.createDataFrame(texts, "mail_id int, body string")


def pipeline_of(local: LocalBedrock, name: str, model: Any, **sections: Any) -> Pipeline:
    return Pipeline.open(
        make_config(
            f"s3://{BUCKET}/runs/{name}",
            endpoint_url=local.endpoint_url,
            source={"key": ["mail_id"]},
            model=model,
            **sections,
        )
    )


@pytest.mark.parametrize(
    ("name", "model", "column"),
    [
        ("claude", {"id": CLAUDE}, "text"),
        ("nova", {"id": NOVA}, "tool_input"),
        ("oss", {"id": GPT_OSS}, "text"),
        ("converse", {"id": CLAUDE, "invocation": "converse"}, "text"),
    ],
)
def test_nested_columns_are_asked_for_and_read(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock], name: str, model: Any, column: str
) -> None:
    """Every row is ok, has its typed columns, and has the JSON where the docs say."""
    local = bedrock(QUOTAS)
    example = EXAMPLES[0]
    pipeline = pipeline_of(
        local,
        name,
        model,
        request={**example["request"], "schema": "columns"},
        results={"parse": example["results"]["parse"]},
    )
    report = pipeline.run_all(spark, mails(spark))
    assert report.outcomes == all_outcomes({"ok": ROWS})
    assert report.findings == []
    rows = pipeline.results(spark).orderBy("mail_id").collect()
    for row in rows:
        assert row[column].startswith('{"customer"')
        assert type(row["is_urgent"]) is bool
        assert row["items"]
        assert all(type(item["article"]) is str for item in row["items"])
        assert type(row["deliver"]["by"]) is date


def test_a_schema_that_the_service_refuses_costs_nothing(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """With the linter off, as if it did not know the rule: the canary's calls are refused."""
    local = bedrock(QUOTAS)
    schema = {"type": "object", "properties": {"stars": {"type": "integer", "maximum": 5}}}
    pipeline = pipeline_of(
        local,
        "refused",
        {"id": CLAUDE},
        request={"schema": {**schema, "additionalProperties": False}},
        batch={"lint": "ignore"},
        canary={"records": 2},
    )
    with pytest.raises(CanaryError, match="property 'maximum' is not supported"):
        pipeline.run_all(spark, mails(spark))
    assert local.usage()["jobs"] == []


def test_answers_that_do_not_fit_a_json_schema_are_invalid(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """Each with the place and the reason. Answers of a model that is not asked are checked, too."""
    request = EXAMPLES[1]["request"]
    local = bedrock(QUOTAS)
    local.set_answers(
        {"match": "1 lamp", "text": 'Here:\n```json\n{"stars": 4, "praise": ["fast"]}\n```'},
        {"match": "2 lamp", "text": {"stars": 9, "praise": ["SECRET"]}},
        {"match": "3 lamp", "text": {"stars": 4, "praise": [5]}},
    )
    llama = {"id": "meta.llama3-3-70b-instruct-v1:0"}
    pipeline = pipeline_of(local, "schema", llama, request=request)
    report = pipeline.run_all(spark, mails(spark))
    third = ROWS // 3
    assert report.outcomes == all_outcomes({"ok": third, "invalid": 2 * third})
    reasons = Counter(row["error_message"] for row in pipeline.results(spark).collect())
    assert reasons == {
        None: third,
        "stars: is none of the values of enum": third,
        "praise[0]: is a number, not string": third,
    }
