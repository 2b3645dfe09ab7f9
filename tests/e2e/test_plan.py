"""The plan of a run against what the local Bedrock bills for the run."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.config import Config
from bedrock_spark.errors import OtherPlanError
from bedrock_spark.permissions import policies_of
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.planning import Plan
from bedrock_spark.planning.agreement import agreement_on
from tests.e2e.conftest import BUCKET
from tests.models import NOVA
from tests.spark_sessions import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
PRICE = {"input": 0.001, "output": 0.002}
ROWS = 240

# Each: the sections of the config, and the mean tokens of an answer. Answers end at `max_tokens`.
CASES: dict[str, tuple[dict[str, Any], float]] = {
    "claude": ({}, 8.0),
    "nova": ({"model": {"id": NOVA}}, 8.0),
    "converse": ({"model": {"id": CLAUDE, "invocation": "converse"}}, 8.0),
    "shared records": ({"request": {"prompt": "About {{ kind }}", "dedupe": True}}, 8.0),
    "small shards": (
        {"shards": {"max_records": 50, "min_records": 45}, "fallback": {"model_id": CLAUDE}},
        8.0,
    ),
}


# Calls that are checked as another action.
CHECKED_AS = {"Converse": "InvokeModel"}
# What only some runs of a config call: to stop, to find a job that no listing shows, to stream, to
# ask about models of other kinds.
SELDOM = {
    *("StopModelInvocationJob", "GetModelInvocationJob", "InvokeModelWithResponseStream"),
    *("GetInferenceProfile", "GetCustomModel", "GetProvisionedModelThroughput"),
    "ListInferenceProfiles",
}


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    words = F.expr("repeat(concat('word ', id, ' '), cast(id % 40 as int) + 1)")
    kind = F.concat(F.lit("kind "), F.col("id") % 80)
    return spark.range(ROWS).select("id", words.alias("body"), kind.alias("kind"))


def config_of(local: LocalBedrock, name: str, folder: str | None = None, **more: Any) -> Any:
    sections, _ = CASES[name]
    sections = {**sections, **more}
    request = {"prompt": "Repeat at length: {{ body }}", "max_tokens": 8, "on_truncated": "keep"}
    sections = {**sections, "request": {**request, **sections.get("request", {})}}
    sections["prices"] = {"batch": PRICE, "fallback": {k: 2 * v for k, v in PRICE.items()}}
    sections["canary"] = {"records": 5, "max_truncated_share": 1.0}
    uri = f"s3://{BUCKET}/runs/{folder or name.replace(' ', '-')}"
    return make_config(uri, endpoint_url=local.endpoint_url, **sections)


def bill_of(local: LocalBedrock) -> Decimal:
    """Return the dollars of what the local Bedrock has counted."""
    counts = local.usage()["totals"]
    batch = counts["batch_input_tokens"] + 2 * counts["batch_output_tokens"]
    online = counts["invocation_input_tokens"] + 2 * counts["invocation_output_tokens"]
    return Decimal(batch + 2 * online) / 1_000_000


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_within_5_percent_of_the_bill(
    name: str, spark: SparkSession, bedrock: Start, rows: DataFrame
) -> None:
    local = bedrock({"quotas": {"min_records": 10}})
    config = config_of(local, name)
    plan = bedrock_spark.plan(spark, rows, config, output_tokens=CASES[name][1])
    assert plan.refusals == ()
    assert plan.pays
    assert plan.was is None
    assert local.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert bill_of(local) == 0
    pipeline = Pipeline.open(config, agreement=agreement_on(plan))
    report = pipeline.run_all(spark, rows)
    manifest = pipeline.manifest()
    assert report.rows == plan.source.rows == ROWS
    assert (plan.source.records, plan.shards.shards) == (manifest.records, len(manifest.shards))
    assert plan.shards.bytes == sum(shard.bytes for shard in manifest.shards)
    assert plan.jobs.jobs == len(pipeline.jobs())
    assert plan.cost is not None
    assert plan.cost.likely is not None
    assert float(plan.cost.likely) == pytest.approx(float(bill_of(local)), rel=0.05)
    assert_prepared_alike(plan, bedrock_spark.plan(spark, None, config))
    assert_allowed(local, config)


def assert_allowed(local: LocalBedrock, config: Config) -> None:
    """The policy of `bedrock-spark iam` allows every call of the run, and little else."""
    statements = policies_of(config).caller["Statement"]
    lists = [[a] if isinstance(a := s["Action"], str) else a for s in statements]
    allowed = {action.split(":")[1] for actions in lists for action in actions}
    operations = {name for name in local.requests() if ":" not in name}  # those are not Bedrock's
    called = {CHECKED_AS.get(name, name) for name in operations}
    assert called <= allowed
    of_bedrock = {a.split(":")[1] for actions in lists for a in actions if "bedrock" in a}
    assert of_bedrock - called <= SELDOM


def assert_prepared_alike(before: Plan, after: Plan) -> None:
    """A plan of the prepared run has the same numbers, and knows answers by the canary."""
    assert after.is_prepared
    assert (after.to_ask, after.pays) == (0, False)
    assert after.basis.content == before.basis.content
    assert after.was is not None
    assert (after.was.how, after.was.rows) == ("the run folder", ROWS)
    assert after.source.model_copy(update={"reasons": {}}) == before.source
    assert (after.shards, after.jobs) == (before.shards, before.jobs)
    assert after.output_tokens.likely is not None
    assert "canary" in after.output_tokens.how


def test_what_would_end_a_run_stands_in_the_plan(
    spark: SparkSession, bedrock: Start, rows: DataFrame
) -> None:
    local = bedrock({"quotas": {"min_records": 10}})
    twice = rows.union(rows.limit(3)).withColumn("body", F.expr("if(id < 50, null, body)"))
    config = make_config(
        f"s3://{BUCKET}/runs/refused",
        endpoint_url=local.endpoint_url,
        source={"key": ["id"], "max_rejects": 0.1},
        shards={"max_records": 1000, "min_records": 500},
    )
    plan = bedrock_spark.plan(spark, twice, config)
    assert [refusal.exit_code for refusal in plan.refusals] == [3, 7, 3]
    messages = [refusal.message for refusal in plan.refusals]
    assert "source.key: id is not unique: 3 rows repeat a key" in messages[0]
    assert "53 of 243 rows" in messages[1] or "50 of 243 rows" in messages[1]
    assert "below shards.min_records" in messages[2]
    assert plan.source.reasons
    assert local.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


@pytest.mark.long
def test_what_was_agreed_is_what_runs(
    spark: SparkSession, bedrock: Start, rows: DataFrame, tmp_path: Path
) -> None:
    """A source that has changed is refused before anything is submitted or fixed."""
    local = bedrock({"quotas": {"min_records": 10}})
    path = str(tmp_path / "table")
    rows.write.parquet(path)
    config = config_of(local, "claude", source={"format": "parquet", "path": path})
    plan = bedrock_spark.plan(spark, None, config, output_tokens=8)
    spark.read.parquet(path).limit(1).withColumn("id", F.lit(ROWS).cast("long")).write.mode(
        "append"
    ).parquet(path)
    with pytest.raises(OtherPlanError) as refused:
        bedrock_spark.run(spark, None, config, observe=False, plan=plan)
    lines = [line.strip() for line in str(refused.value).splitlines()]
    assert lines[1].startswith("source: ")
    assert {"rows: 240 then, 241 now", "records: 240 then, 241 now"} <= set(lines)
    assert bill_of(local) == 0
    # Nothing is fixed: what is now can be agreed on, and runs.
    agreed = bedrock_spark.plan(spark, None, config, output_tokens=8)
    assert not agreed.is_prepared
    results = bedrock_spark.run(spark, None, config, observe=False, plan=agreed)
    assert results.count() == ROWS + 1
    # The next day, with another prompt: everything is asked, and the plan says why.
    request = {"prompt": "Repeat: {{ body }}", "max_tokens": 8}
    source = {"format": "parquet", "path": path}
    next_day = config_of(local, "claude", "next", source=source, request=request)
    later = bedrock_spark.plan(spark, None, next_day)
    assert [(why.reason, why.rows) for why in later.why] == [("prompt changed", ROWS + 1)]
    assert later.was is not None
    assert (later.was.run_uri, later.was.rows) == (config.run_uri, ROWS + 1)
    assert later.was.cost is not None
    # In the folder of the run, it could not begin, and the plan has the numbers all the same.
    here = bedrock_spark.plan(
        spark, None, config_of(local, "claude", source=source, request=request)
    )
    assert [refusal.exit_code for refusal in here.refusals] == [3]
    assert (here.source, here.why) == (later.source, later.why)
