"""Plans with a store of answers: what is kept, what is asked, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.planning import Plan
from tests.e2e.test_kept_answers import bill, open_pipeline
from tests.e2e.test_run import PLAIN, tickets
from tests.unit.fakes import FakeClock

pytestmark = pytest.mark.long

ROWS = 60


def reasons(plan: Plan) -> dict[str, int]:
    return {why.reason: why.rows for why in plan.why}


def test_a_plan_says_of_each_row_why_it_is_asked(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """Day 2 has 6 new rows and 4 changed ones; then the prompt changes, or time passes."""
    local = bedrock({**PLAIN, "quotas": {"min_records": 2}})
    path = str(tmp_path / "tickets")
    tickets(spark, ROWS).write.parquet(path)
    source = {"format": "parquet", "path": path}
    shards = {"min_records": 2}

    def plan_of(name: str, later: float = 0.0, **sections: Any) -> Plan:
        pipeline = open_pipeline(local, name, source=source, shards=shards, **sections)
        clock = FakeClock(SystemClock().now() + later)
        config = pipeline.run.config
        return bedrock_spark.plan(spark, None, config, output_tokens=8, clock=clock)

    first = open_pipeline(local, "day-1", source=source, shards=shards)
    first.run_all(spark)
    paid = bill(local)

    same = plan_of("day-2")
    assert (same.source.kept, same.source.records, same.pays, same.why) == (ROWS, 0, False, ())
    assert same.cost is not None
    assert same.cost.high == 0

    later = tickets(spark, ROWS + 6).withColumn(
        "body", F.when(F.col("id") < 4, F.concat("body", F.lit("!"))).otherwise(F.col("body"))
    )
    later.write.mode("overwrite").parquet(path)
    next_day = plan_of("day-2")
    assert (next_day.source.rows, next_day.source.kept, next_day.to_ask) == (66, 56, 10)
    assert reasons(next_day) == {"new rows": 6, "rows changed": 4}
    assert next_day.was is not None
    assert (next_day.was.rows, next_day.was.records) == (ROWS, ROWS)

    prompt = plan_of("day-2", request={"prompt": "Judge: {{ body }}"})
    assert (prompt.source.kept, reasons(prompt)) == (0, {"prompt changed": ROWS, "new rows": 6})
    old = plan_of("day-2", later=40 * 86_400.0, answers={"max_age": "30d"})
    assert reasons(old) == {"kept answer too old": 56, "new rows": 6, "rows changed": 4}
    assert bill(local) == paid
