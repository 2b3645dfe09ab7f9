"""`results.parse` in the pipeline: a record whose answer does not fit is asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import all_outcomes
from bedrock_spark.run_folder import layout
from tests.e2e.conftest import BUCKET
from tests.e2e.test_run import PLAIN, tickets
from tests.spark_sessions import CLAUDE, make_config


def open_pipeline(local: LocalBedrock, name: str, min_records: int) -> Pipeline:
    config = make_config(
        f"s3://{BUCKET}/runs/{name}",
        endpoint_url=local.endpoint_url,
        shards={"min_records": min_records, "max_records": 2 * 40},
        fallback={"model_id": CLAUDE, "rounds": 1},
        request={"schema": "none"},  # the answers of the local Bedrock would fit
        results={"parse": {"columns": "label string", "retries": 2}},
    )
    return Pipeline.open(config, SystemClock())


def test_many_answers_that_never_fit_are_asked_again_by_batch(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """parse.retries times, each by a batch job of just these records. A second run asks nothing."""
    local = bedrock(PLAIN)
    for _ in range(2):
        report = open_pipeline(local, "many", 10).run_all(spark, tickets(spark, 30))
        assert report.outcomes == all_outcomes({"invalid": 30})
        assert (report.unanswered, report.permanent_errors) == (0, 30)
        assert report.jobs == {"Completed": 3}
        assert report.findings == []
    assert "InvokeModel" not in local.requests()
    assert local.usage()["totals"]["records_billed"] == 3 * 30
    assert local.usage()["paid_again"]["answers"] == 2 * 30


def test_few_answers_that_never_fit_are_asked_again_by_the_fallback(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """parse.retries times: they are too few for a batch job. A second run asks nothing."""
    local = bedrock({**PLAIN, "records": [{"share": 0.8, "code": 400}]})
    for _ in range(2):
        pipeline = open_pipeline(local, "few", 20)
        report = pipeline.run_all(spark, tickets(spark, 30))
        refused = report.outcomes["error"]
        assert 10 < refused < 30
        assert report.outcomes["invalid"] == 30 - refused
        assert (report.unanswered, report.permanent_errors) == (0, 30)
        storage, calls = pipeline.run.storage, Counter[str]()
        for item in storage.list(f"{layout.FALLBACK}/"):
            lines = read_lines(storage.read(item.key))
            calls.update(line.record_id for line in lines if isinstance(line, OutputRecord))
        assert set(calls.values()) == {2}
        assert len(calls) == 30 - refused
        assert local.usage()["paid_again"]["answers"] == 2 * (30 - refused)
    (row,) = pipeline.results(spark).where("outcome = 'invalid'").limit(1).collect()
    assert row["error_message"] == "the answer holds no JSON object"
