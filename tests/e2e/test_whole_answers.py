"""Answers that are cut off, empty or refusals: asked again, counted, and paid for as documented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import all_outcomes
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
LONG, ENDLESS = " ".join(["word"] * 60), " ".join(["word"] * 500)
# The rows of each kind, and the tokens that an answer needs: the limit is 20, then 40, then 80.
KINDS = {"plain": 10, "long": 20, "hard": 10, "endless": 10, "forbidden": 10}
RULES: tuple[dict[str, Any], ...] = (
    {"match": "plain", "text": "Fine."},
    {"match": "long", "text": LONG},
    {"match": "hard", "thinks": 30, "text": "Done."},
    {"match": "endless", "text": ENDLESS},
    {"match": "forbidden", "refuses": True},
)
RETRY = {"on_truncated": "retry", "max_tokens_ceiling": 80, "on_refused": "retry"}
# How often each record is paid for: once, and once more for each answer that may be followed by
# another try.
PAID = {"plain": 1, "long": 3, "hard": 2, "endless": 3, "forbidden": 2}


def questions(spark: SparkSession) -> DataFrame:
    rows = [(f"{kind} {n}",) for kind, count in KINDS.items() for n in range(count)]
    return spark.createDataFrame(rows, "body string").withColumn("id", F.col("body"))


def open_pipeline(local: LocalBedrock, name: str, min_records: int, **request: Any) -> Pipeline:
    config = make_config(
        f"s3://{BUCKET}/runs/{name}",
        endpoint_url=local.endpoint_url,
        request={"prompt": "{{ body }}", "max_tokens": 20, **request},
        shards={"min_records": min_records, "max_records": 60},
        fallback={"model_id": CLAUDE, "rounds": 1, "max_share": 1.0},
        results={"max_errors": 1.0},
    )
    return Pipeline.open(config)


@pytest.mark.parametrize(("min_records", "jobs", "calls"), [(20, 3, 0), (60, 1, 80)])
def test_every_answer_that_can_be_whole_becomes_whole(
    spark: SparkSession, bedrock: Start, min_records: int, jobs: int, calls: int
) -> None:
    """By batch jobs if there are enough of them, else by the fallback. Then nothing is asked."""
    local = bedrock({"quotas": {"min_records": 10}})
    local.set_answers(*RULES)
    for _ in range(2):
        pipeline = open_pipeline(local, f"whole{min_records}", min_records, **RETRY)
        report = pipeline.run_all(spark, questions(spark))
        expected = {"ok": 40, "truncated": 10, "refused": 10}
        assert report.outcomes == all_outcomes(expected)
        assert (report.unanswered, report.attempts) == (0, jobs)
        totals = local.usage()["totals"]
        assert totals["records_billed"] + totals["invocations"] == sum(
            KINDS[kind] * times for kind, times in PAID.items()
        )
        assert totals["invocations"] == calls
    rows = pipeline.results(spark).collect()
    texts = {row["body"].split()[0]: row["text"] for row in rows}
    assert (texts["long"], texts["hard"]) == (LONG, "Done.")
    assert texts["endless"] == " ".join(["word"] * 80), "the longest of three"
    found = {(row["outcome"], row["error_message"]) for row in rows if row["outcome"] != "ok"}
    assert found == {
        ("truncated", "cut off: stop reason max_tokens"),
        ("refused", "refused: stop reason refusal"),
    }
    served = {row["served_by"] for row in rows if row["body"].startswith("long")}
    assert served == {"fallback" if calls else "batch"}


def test_by_default_nothing_is_asked_again(spark: SparkSession, bedrock: Start) -> None:
    """Each row is paid for once, and says what its answer is."""
    local = bedrock({"quotas": {"min_records": 10}})
    local.set_answers(*RULES)
    pipeline = open_pipeline(local, "once", 20)
    report = pipeline.run_all(spark, questions(spark))
    assert report.outcomes == all_outcomes({"ok": 10, "truncated": 40, "refused": 10})
    totals = local.usage()["totals"]
    assert (totals["records_billed"], totals["invocations"]) == (60, 0)
    empty = pipeline.results(spark).where("body like 'hard %'").first()
    assert (empty["text"], empty["reasoning_tokens"]) == (None, 20)
    assert empty["error_message"].startswith("empty: the answer has reasoning, but no text")
