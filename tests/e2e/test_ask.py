"""`bedrock_spark.ask`: one question, a DataFrame in and one out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import BudgetError, ConfigError, OtherPlanError
from tests.e2e.conftest import BUCKET
from tests.models import NOVA
from tests.spark_sessions import ROLE


@pytest.fixture
def given(bedrock: Callable[..., LocalBedrock]) -> dict[str, Any]:
    """Return the arguments that every call has."""
    local = bedrock()
    local.set_answers(
        {"match": "forbidden", "refuses": True},
        {"match": "text", "text": {"label": "plain", "day": "2026-11-26"}},
    )
    config = {
        "endpoint_url": local.endpoint_url,
        "batch": {"region": "us-east-1", "poll_seconds": 0.05},
        "canary": {"records": 0},
    }
    return {
        "model": NOVA,
        "role": ROLE,
        "run_uri": f"s3://{BUCKET}/runs/ask",
        "columns": "label string NOT NULL, day date",
        "config": config,
        "observe": False,
    }


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    values = [(1, "text 1", [1, 2]), (2, "forbidden", []), (3, "text 3", None)]
    return spark.createDataFrame(values, "id int, body string, list array<int>")


def test_a_preview_returns_the_first_rows_with_their_answers(
    rows: DataFrame, given: dict[str, Any]
) -> None:
    """With the types of the source and of the answers; rows without an answer have null."""
    answers = bedrock_spark.ask(rows, "About {{ body }}", key="id", preview=2, **given)
    assert answers.columns == [
        *("id", "body", "list", "outcome", "text", "error_message", "label", "day"),
        *("input_tokens", "output_tokens"),
    ]
    one, two = answers.orderBy("id").collect()
    assert (one["list"], one["outcome"], one["label"]) == ([1, 2], "ok", "plain")
    assert one["day"] == dt.date(2026, 11, 26)
    assert one["output_tokens"] > 0
    assert (two["outcome"], two["label"]) == ("refused", None)


def test_a_preview_has_the_names_of_the_results(rows: DataFrame, given: dict[str, Any]) -> None:
    """With their prefix, beside the columns that the results keep."""
    config = {**given["config"], "results": {"prefix": "llm_"}, "source": {"columns": ["id"]}}
    texts = rows.withColumn("text", rows["body"])
    found = bedrock_spark.ask(texts, "About {{ body }}", preview=1, **{**given, "config": config})
    assert found.columns == [
        *("id", "llm_outcome", "llm_text", "llm_error_message", "llm_label", "llm_day"),
        *("llm_input_tokens", "llm_output_tokens"),
    ]
    assert found.first()["llm_label"] == "plain"


def test_a_preview_says_what_it_costs(
    rows: DataFrame, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere than in a notebook, on stderr."""
    bedrock_spark.ask(rows, "About {{ body }}", preview=1, **{**given, "observe": True})
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"asks {NOVA} about 1 row" in shown.err
    assert "the whole: 3 rows would cost about $" in shown.err
    with pytest.raises(BudgetError, match="one row may cost"):
        bedrock_spark.ask(rows, "About {{ body }}", preview=1, max_cost=1e-7, **given)
    own = {**given, "config": {**given["config"], "budget": {"max_cost_usd": 1e-7}}}
    with pytest.raises(BudgetError, match="one row may cost"):
        bedrock_spark.ask(rows, "About {{ body }}", preview=1, **own)


def test_what_cannot_be_asked_is_said_by_its_key(rows: DataFrame, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="the source has no column bdy; did you mean body"):
        bedrock_spark.ask(rows, "About {{ bdy }}", preview=1, **given)
    with pytest.raises(ConfigError, match="preview = 0: must be at least 1"):
        bedrock_spark.ask(rows, "About {{ body }}", preview=0, **given)
    with pytest.raises(ConfigError, match="plan: is of a whole run; leave out preview"):
        bedrock_spark.ask(rows, "About {{ body }}", preview=1, plan="plan.json", **given)
    with pytest.raises(ConfigError, match=r"plan.json: the plan cannot be read"):
        bedrock_spark.ask(rows, "About {{ body }}", plan="plan.json", **given)
    with pytest.raises(ConfigError, match="run_uri"):
        bedrock_spark.ask(rows, "About {{ body }}", **{**given, "run_uri": "s3://x"})


@pytest.mark.long
def test_the_answers_of_all_rows_come_back(spark: SparkSession, given: dict[str, Any]) -> None:
    """As they were planned, of a pandas DataFrame, and of few rows, which are asked one by one."""
    frame = pd.DataFrame({"id": [1, 2], "body": ["text 1", "text 2"]})
    prompt = "About {{ body }}"
    question = {name: value for name, value in given.items() if name != "observe"}
    config = bedrock_spark.ask_config(prompt, key="id", max_cost=5, **question)
    plan = bedrock_spark.plan(spark, spark.createDataFrame(frame), config, output_tokens=8)
    assert plan.source.records == 2
    # What was not agreed on is refused before anything is submitted.
    with pytest.raises(OtherPlanError, match=r"request.max_tokens is 500 in the plan and 7 in"):
        bedrock_spark.ask(frame, prompt, key="id", max_cost=5, max_tokens=7, plan=plan, **given)
    more = pd.DataFrame({"id": [1, 2, 3], "body": ["text 1", "text 2", "text 3"]})
    with pytest.raises(OtherPlanError, match=r"records: 2 then, 3 now"):
        bedrock_spark.ask(more, prompt, key="id", max_cost=5, plan=plan, **given)
    answers = bedrock_spark.ask(frame, prompt, key="id", max_cost=5, plan=plan, **given).collect()
    assert {(row["id"], row["label"], row["served_by"]) for row in answers} == {
        (1, "plain", "fallback"),
        (2, "plain", "fallback"),
    }
    again = bedrock_spark.ask(frame, prompt, key="id", max_cost=5, **given)
    assert again.count() == 2
