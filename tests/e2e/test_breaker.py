"""Jobs that answer nothing hold the run; a person decides that the fallback answers it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.errors import FallbackShareError, JobsWithoutAnswersError, RunFolderError
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.e2e.test_run import PLAIN, tickets
from tests.spark_sessions import CLAUDE, make_config

FAILING = {**PLAIN, "records": [{"share": 1.0, "code": 500}]}


@pytest.mark.long
def test_jobs_that_answer_nothing_hold_the_run(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock]
) -> None:
    """Few jobs are paid for. Then the same command carries on, or the fallback answers all."""
    local = bedrock(FAILING)

    def open_pipeline(name: str, max_share: float, max_records: int = 20) -> Pipeline:
        return Pipeline.open(
            make_config(
                f"s3://{BUCKET}/runs/breaker-{name}",
                endpoint_url=local.endpoint_url,
                shards={"max_records": max_records},
                batch={"max_active_jobs": 2, "attempts": 1},
                fallback={"model_id": CLAUDE, "max_share": max_share},
            )
        )

    def rows_of(name: str, rows: int) -> DataFrame:
        """Return rows that no other run has: the service counts equal bodies as one record."""
        return tickets(spark, rows).withColumn("body", F.concat(F.lit(name), "body"))

    held = open_pipeline("held", 0.1)
    with pytest.raises(JobsWithoutAnswersError, match=r"[23] x Completed with errors only: code 5"):
        held.run_all(spark, rows_of("held", 200))
    # Both slots are taken. A third job is created if one job ends a step before the other one.
    created = local.requests()["CreateModelInvocationJob"]
    assert created in (2, 3)
    with pytest.raises(RunFolderError, match="The run is held"):
        held.fall_back(spark, held.collect(spark))
    assert "InvokeModel" not in local.requests()
    assert local.requests()["CreateModelInvocationJob"] == created

    local.set_faults(PLAIN)
    report = open_pipeline("held", 0.1).run_all(spark)
    assert report.served_by == {"batch": 200, "fallback": 0}

    local.set_faults(FAILING)
    small = open_pipeline("small", 0.1, 200)
    with pytest.raises(FallbackShareError, match=r"60 of 60 records \(100\.0%\)"):
        small.run_all(spark, rows_of("small", 60))
    whole = open_pipeline("whole", 1.0)
    with pytest.raises(JobsWithoutAnswersError):
        whole.run_all(spark, rows_of("whole", 200))
    assert "InvokeModel" not in local.requests()
    local.set_faults(PLAIN)
    for pipeline, rows in ((open_pipeline("small", 1.0, 200), 60), (whole, 200)):
        reconciled = pipeline.fall_back(spark, pipeline.collect(spark))
        assert pipeline.finish(spark, reconciled).served_by == {"batch": 0, "fallback": rows}
    jobs = local.requests()["CreateModelInvocationJob"]
    report = open_pipeline("whole", 1.0).run_all(spark)
    assert report.outcomes["ok"] == 200
    assert local.requests()["CreateModelInvocationJob"] == jobs
    assert local.usage()["paid_again"]["records"] == 0
