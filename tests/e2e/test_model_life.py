"""Models that have ended, that end soon, and that the account may not use, on a local Bedrock."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import ModelUnavailableError
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.models import CLAUDE, CLAUDE_MODEL, SONNET, SONNET_MODEL
from tests.spark_sessions import make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/tickets"
PLAIN: dict[str, Any] = {"quotas": {"min_records": 10}}


def tickets(spark: SparkSession) -> DataFrame:
    return spark.range(40).select("id", F.concat(F.lit("ticket "), "id").alias("body"))


def report_of(local: LocalBedrock) -> dict[str, Any]:
    stored = local.client("s3").get_object(Bucket=BUCKET, Key="runs/tickets/report.json")
    report: dict[str, Any] = json.loads(stored["Body"].read())
    return report


@pytest.mark.parametrize(
    ("models", "sections", "text"),
    [
        ({CLAUDE_MODEL: {"ends_in_days": -1}}, {}, r"model\.id = .*has ended this model on"),
        ({CLAUDE_MODEL: {"agreement": "NOT_AVAILABLE"}}, {}, r"model\.id = .*no agreement for it"),
        (
            {SONNET_MODEL: {"authorization": "NOT_AUTHORIZED"}},
            {"fallback": {"model_id": SONNET}},
            r"fallback\.model_id = .*not authorized to use it",
        ),
        (
            {SONNET_MODEL: {"ends_in_days": -1}},
            {"targets": [{"model_id": CLAUDE}, {"model_id": SONNET}]},
            r"targets\[1\]\.model_id = .*has ended this model on",
        ),
    ],
)
def test_an_unusable_model_is_an_error_before_anything_is_written(
    spark: SparkSession, bedrock: Start, models: Any, sections: Any, text: str
) -> None:
    """Of the run, of a target, of the fallback. No folder, no canary, no job."""
    local = bedrock({**PLAIN, "models": models})
    config = make_config(URI, endpoint_url=local.endpoint_url, **sections)
    with pytest.raises(ModelUnavailableError, match=text):
        bedrock_spark.run(spark, tickets(spark), config)
    assert local.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert not {"CreateModelInvocationJob", "InvokeModel"} & set(local.requests())


def test_a_model_that_ends_soon_is_a_line_and_in_the_report(
    spark: SparkSession, bedrock: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Each command asks once. When the model has ended, the answers are still collected."""
    ends = {CLAUDE_MODEL: {"legacy_in_days": -1, "ends_in_days": 40}}
    local = bedrock({**PLAIN, "models": ends})
    config = make_config(URI, endpoint_url=local.endpoint_url)
    with caplog.at_level(logging.WARNING, "bedrock_spark"):
        Pipeline.open(config).run_all(spark, tickets(spark))
    lines = [r.getMessage() for r in caplog.records if "is marked Legacy" in r.getMessage()]
    assert len(lines) == 1
    # The emulated clock, from which the days count, is ahead of this machine's.
    assert re.search(r", in 4[01] days", lines[0])
    (model,) = report_of(local)["models"]
    assert (model["key"], model["model_id"], model["status"]) == ("model.id", CLAUDE, "LEGACY")
    assert model["ends_on"] in lines[0]
    asked = local.requests()
    assert (asked["GetFoundationModel"], asked["GetFoundationModelAvailability"]) == (1, 1)

    local.set_faults({**PLAIN, "models": {CLAUDE_MODEL: {"ends_in_days": -1}}})
    report = Pipeline.open(config).run_all(spark, tickets(spark))
    assert (report.state, report.outcomes["ok"]) == ("done", 40)
