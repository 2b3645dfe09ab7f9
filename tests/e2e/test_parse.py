"""Answers as columns, through the whole pipeline: what does not fit is asked again, not oftener."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pyspark.sql import SparkSession

from bedrock_spark import layout
from bedrock_spark.clock import SystemClock
from bedrock_spark.emulator import LocalBedrock
from bedrock_spark.outputs import OutputRecord, read_lines
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET, provision
from tests.e2e.test_run import PLAIN, tickets
from tests.sparks import make_config


def test_answers_that_never_fit_are_asked_as_often_as_allowed(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """Once by batch, then parse.retries times by the fallback; a second run asks nobody."""
    local = bedrock(PLAIN)
    config = make_config(
        f"s3://{BUCKET}/runs/parse",
        endpoint_url=local.endpoint_url,
        fallback={"model_id": provision(local)},
        results={"parse": {"columns": "label string", "retries": 2}},
    )
    for _ in range(2):
        pipeline = Pipeline.open(config, SystemClock())
        report = pipeline.run_all(spark, tickets(spark, 30))
        assert report.outcomes == {"ok": 0, "error": 0, "missing": 0, "invalid": 30, "rejected": 0}
        assert (report.stragglers, report.permanent_errors) == (0, 30)
        storage, asked = pipeline.run.storage, Counter[str]()
        for item in storage.list(f"{layout.FALLBACK}/"):
            lines = read_lines(storage.read(item.key))
            asked.update(line.record_id for line in lines if isinstance(line, OutputRecord))
        assert set(asked.values()) == {2}
        assert len(asked) == 30
    (row,) = pipeline.results(spark).where("label IS NULL").limit(1).collect()
    assert row["error_message"] == "the answer holds no JSON object"
