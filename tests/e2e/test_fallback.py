"""The fallback against the local Bedrock: rounds, dead letters, and provisioned throughput."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.cli import main
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import BudgetError, ProvisionedModelError, RunHeldError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import Report, all_outcomes
from bedrock_spark.run_folder.lease import Lease
from tests.e2e.conftest import BUCKET, provision
from tests.models import SONNET
from tests.spark_sessions import CLAUDE, CLAUDE_MODEL, make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/fallback"
# No shard is large enough for a batch job: the fallback asks all records.
SMALL = {"min_records": 1_000, "max_records": 2_000}
# The user's own prices of the fallback, by its model.
DOLLARS: dict[str, dict[str, dict[str, float]]] = {
    CLAUDE: {"fallback": {"input": 1, "output": 5}},
    SONNET: {"fallback": {"input": 3, "output": 15}},
}


def rows_of(spark: SparkSession, count: int) -> DataFrame:
    return spark.range(count).select("id", F.concat(F.lit("ticket number "), "id").alias("body"))


def open_pipeline(local: LocalBedrock, **sections: Any) -> Pipeline:
    fallback = {"model_id": CLAUDE, **sections.pop("fallback", {})}
    settings = {"shards": SMALL, **sections}
    return Pipeline.open(
        make_config(URI, endpoint_url=local.endpoint_url, fallback=fallback, **settings)
    )


def test_unanswered_records_are_asked_until_none_is_left(
    spark: SparkSession, bedrock: Start
) -> None:
    """The second round asks only the records that failed in the first."""
    local = bedrock({"operations": {"InvokeModel": {"error_first": 12}}})
    report = open_pipeline(local, fallback={"attempts": 1}).run_all(spark, rows_of(spark, 40))
    assert report.outcomes["ok"] == report.served_by["fallback"] == 40
    assert local.requests()["InvokeModel"] == 40 + 12
    assert report.findings == []


def test_after_the_last_round_unanswered_rows_are_dead_letters(
    spark: SparkSession, bedrock: Start
) -> None:
    """A dead letter has the last error. A later run answers the rows, and deletes the file.

    It asks another model. Each answer costs what its own model costs.
    """
    local = bedrock({"operations": {"InvokeModel": {"error_first": 20 + 12}}})
    two_rounds = {"attempts": 1, "rounds": 2}
    dear = {"batch": {"lint": "ignore"}}  # prices that no model has
    first = {"fallback": two_rounds, "prices": DOLLARS[CLAUDE], **dear}
    report = open_pipeline(local, **first).run_all(spark, rows_of(spark, 20))
    assert local.requests()["InvokeModel"] == 2 * 20
    assert report.outcomes == all_outcomes({"ok": 8, "error": 12})
    (finding,) = report.findings
    assert (finding["kind"], finding["count"]) == ("fallback_ended", 12)
    assert finding["detail"] == "fallback.rounds: 2 are used up"
    pipeline = open_pipeline(local, **first)
    dead_letters = read_rows(pipeline, "deadletters")
    assert len({row["id"] for row in dead_letters}) == len(dead_letters) == 12
    assert {(row["outcome"], row["error_code"]) for row in dead_letters} == {("error", 500)}
    assert set(dead_letters[0]) == {
        *("id", "body", "record_id", "outcome", "error_code", "error_message"),
        *("served_by", "attempt", "job_arn"),
    }
    local.set_faults({})
    other = open_pipeline(local, fallback={"model_id": SONNET}, prices=DOLLARS[SONNET], **dear)
    report = other.run_all(spark)
    assert report.outcomes["ok"] == 20
    assert pipeline.run.storage.list("deadletters/") == []
    assert_costs(local, other, report, {CLAUDE: 8, SONNET: 12})


def assert_costs(
    local: LocalBedrock, pipeline: Pipeline, report: Report, answers: dict[str, int]
) -> None:
    """Compare every column of the results that has to do with costs, the report, and the bill.

    answers: how many answers each model gave
    """
    rows, sums = read_rows(pipeline, "results"), dict[str, float]()
    for model_id, count in answers.items():
        own = [row for row in rows if row["model_id"] == model_id]
        price = DOLLARS[model_id]["fallback"]
        used = {name: sum(row[f"{name}_tokens"] for row in own) for name in ("input", "output")}
        dollars = sum(used[name] * price[name] for name in used) / 1_000
        for row in own:
            each = row["input_tokens"] * price["input"] + row["output_tokens"] * price["output"]
            assert row["cost_usd"] == pytest.approx(each / 1_000)
        assert len(own) == count
        assert sum(row["cost_usd"] for row in own) == pytest.approx(dollars)
        (use,) = (each for each in report.fallback_models if each["model_id"] == model_id)
        assert (use["tier"], use["answers"], use["tokens"]) == ("standard", count, used)
        assert use["cost_usd"] == pytest.approx(dollars, abs=1e-4)
        bill = local.usage()["invocations"][model_id]
        assert {name: bill[f"{name}_tokens"] for name in used} == used
        assert bill["calls"] == count
        sums[model_id] = dollars
    assert len(rows) == sum(answers.values())
    assert {(row["served_by"], row["run_id"]) for row in rows} == {("fallback", report.run_id)}
    whole = pytest.approx(sum(sums.values()), abs=1e-4)
    assert report.cost is not None
    assert (report.cost["fallback"], report.cost["total"], report.unpriced) == (whole, whole, [])
    arguments = ["status", URI, "--json", "--endpoint-url", local.endpoint_url]
    status = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
    assert (status["cost"], status["cost_lacks"]) == (report.cost, [])


def test_a_run_is_appended_when_the_fallback_has_ended(
    spark: SparkSession, bedrock: Start, tmp_path: Path
) -> None:
    """Not by collect while it may still answer; then once, and nothing is asked after that."""
    local = bedrock({"operations": {"InvokeModel": {"error_rate": 1}}})
    settings = {
        "fallback": {"attempts": 1, "rounds": 1},
        "results": {"mode": "append", "path": str(tmp_path / "published")},
    }
    pipeline = open_pipeline(local, **settings)
    pipeline.prepare(spark, rows_of(spark, 20))
    reconciled = pipeline.collect(spark)
    report = pipeline.report(reconciled, pipeline.publish(spark, reconciled))
    assert [f["kind"] for f in report.findings] == ["not_published"]
    assert not (tmp_path / "published").exists()
    local_calls = []
    for _ in range(2):
        report = open_pipeline(local, **settings).run_all(spark)
        assert report.published == str(tmp_path / "published")
        rows = spark.read.parquet(str(tmp_path / "published")).collect()
        assert sorted((row["id"], row["outcome"]) for row in rows) == [
            (i, "error") for i in range(20)
        ]
        local_calls.append(local.requests()["InvokeModel"])
        local.set_faults({})
    assert local_calls == [20, 20]


def read_rows(pipeline: Pipeline, folder: str) -> list[dict[str, Any]]:
    import io

    import pyarrow.parquet as pq

    storage = pipeline.run.storage
    return [
        row
        for stored in storage.list(f"{folder}/")
        for row in pq.read_table(io.BytesIO(storage.read(stored.key))).to_pylist()
    ]


def test_permanent_errors_are_not_asked_again(spark: SparkSession, bedrock: Start) -> None:
    """They would be refused again, so their rows become dead letters."""
    local = bedrock({"records": [{"share": 0.3, "code": 400}]})
    report = open_pipeline(local).run_all(spark, rows_of(spark, 40))
    refused = report.permanent_errors
    assert 0 < refused < 40
    assert local.requests()["InvokeModel"] == 40
    dead_letters = read_rows(open_pipeline(local), "deadletters")
    assert [row["error_code"] for row in dead_letters] == [400] * refused
    assert report.findings == []


def test_the_deadline_ends_the_fallback(spark: SparkSession, bedrock: Start) -> None:
    """No record is asked after the deadline, and the report says why rows are unanswered."""
    local = bedrock()
    report = open_pipeline(local, batch={"deadline_hours": 1e-6}).run_all(spark, rows_of(spark, 20))
    assert "InvokeModel" not in local.requests()
    assert report.outcomes["missing"] == 20
    assert [f["detail"] for f in report.findings] == ["batch.deadline_hours: 1e-06 are over"]


def test_tasks_share_one_rate_limit(spark: SparkSession, bedrock: Start) -> None:
    """Two tasks together ask at the rate that the service allows; all records are answered."""
    local = bedrock({"provisioned": {"tokens_per_minute_per_unit": 50_000}}, speed=3_000.0)
    arn = provision(local)
    pipeline = open_pipeline(local, fallback={"model_id": arn, "tokens_per_minute": 50_000 * 3_000})
    report = pipeline.run_all(spark, rows_of(spark, 100))
    assert report.outcomes["ok"] == 100
    assert pipeline.run.storage.list("tasks/") == []


def test_throttling_costs_no_attempt(spark: SparkSession, bedrock: Start) -> None:
    """With one attempt and one round, throttled records are still answered."""
    local = bedrock({"operations": {"InvokeModel": {"throttle_first": 4}}})
    report = open_pipeline(local, fallback={"attempts": 1, "rounds": 1}).run_all(
        spark, rows_of(spark, 10)
    )
    assert report.outcomes["ok"] == 10


def test_only_the_holder_of_the_lease_asks(spark: SparkSession, bedrock: Start) -> None:
    """Otherwise two machines could pay twice for the same answers."""
    local = bedrock()
    pipeline = open_pipeline(local)
    pipeline.prepare(spark, rows_of(spark, 10))
    reconciled = pipeline.collect(spark)
    with (
        Lease(pipeline.run.storage, SystemClock()),
        pytest.raises(RunHeldError, match="is controlled"),
    ):
        pipeline.fall_back(spark, reconciled)
    assert "InvokeModel" not in local.requests()
    pipeline.fall_back(spark, reconciled)
    assert local.requests()["InvokeModel"] == 10


def test_options_are_sent_with_every_call(spark: SparkSession, bedrock: Start) -> None:
    """InvokeModel has them as headers. The local Bedrock checks these by the service model."""
    local = bedrock({"guardrails": {"gr1234567890": {"blocks": "no such text"}}})
    options = {
        "service_tier": "flex",
        "performance": "optimized",
        "guardrail": {"id": "gr1234567890", "version": 1},
        "content_type": "application/json",
    }
    report = open_pipeline(local, fallback=options).run_all(spark, rows_of(spark, 5))
    assert report.outcomes["ok"] == 5
    calls = local.calls("InvokeModel")
    assert [call["error"] for call in calls] == [None] * 5


CREATE = {"model_id": CLAUDE_MODEL, "create": {"model_units": 2, "confirm": True}}


def provisioned(local: LocalBedrock) -> list[dict[str, Any]]:
    reply = local.client("bedrock").list_provisioned_model_throughputs()
    summaries: list[dict[str, Any]] = reply["provisionedModelSummaries"]
    return summaries


def test_provisioned_throughput_is_bought_once_and_deleted(
    spark: SparkSession, bedrock: Start
) -> None:
    """It serves all rounds. A run without unanswered records buys none, and knows the cost."""
    local = bedrock({"operations": {"InvokeModel": {"error_first": 5}}}, speed=50_000.0)
    money: dict[str, Any] = {
        "prices": {"batch": {"input": 0, "output": 0}, "model_unit_hour": 20},
        "budget": {"max_cost_usd": 39},
    }
    with pytest.raises(BudgetError, match=r"\$0\.0000 are spent, and the rest does not pay"):
        open_pipeline(local, fallback=CREATE, **money).run_all(spark, rows_of(spark, 20))
    assert "CreateProvisionedModelThroughput" not in local.requests()
    money["budget"] = {"max_cost_usd": 40}
    pipeline = open_pipeline(local, fallback={**CREATE, "attempts": 1}, **money)
    report = pipeline.run_all(spark)
    assert report.outcomes["ok"] == 20
    assert report.cost == {
        "batch": 0,
        "canary": 0,
        "fallback": 0,
        "model_units": 40,
        "total": 40,
    }
    assert provisioned(local) == []
    assert local.requests()["CreateProvisionedModelThroughput"] == 1
    assert local.requests()["DeleteProvisionedModelThroughput"] == 1
    again = open_pipeline(local, fallback=CREATE, **money).run_all(spark)
    assert again.cost == report.cost
    assert local.requests()["CreateProvisionedModelThroughput"] == 1


def test_throughput_that_fails_is_deleted(spark: SparkSession, bedrock: Start) -> None:
    """Otherwise it would be billed by the hour until somebody notices."""
    local = bedrock({"provisioned": {"fail": "bs-*"}}, speed=50_000.0)
    with pytest.raises(ProvisionedModelError, match="could not be created"):
        open_pipeline(local, fallback=CREATE).run_all(spark, rows_of(spark, 5))
    assert provisioned(local) == []


GPT = "openai.gpt-oss-120b-1:0"
# Per 1,000 tokens: at the default tier a dollar, at flex half of it.
FLEX_PRICES = {
    "batch": {"input": 1, "output": 1},
    "fallback": {"input": 1, "output": 1},
    "flex": {"input": 0.5, "output": 0.5},
}


def ask_gpt(spark: SparkSession, local: LocalBedrock, rows: int, **sections: Any) -> Report:
    fallback = {"model_id": GPT, **sections.pop("fallback", {})}
    settings = {"model": {"id": GPT}, "prices": FLEX_PRICES, "batch": {"lint": "ignore"}}
    pipeline = open_pipeline(local, fallback=fallback, **settings, **sections)
    return pipeline.run_all(spark, rows_of(spark, rows))


@pytest.mark.parametrize(
    ("faults", "flex_calls"),
    [
        ({}, (30, 30)),
        ({"unsupported": ["openai.*"]}, (0, 0)),
        ({"unavailable_first": 4, "throttle_first": 2}, (20, 30)),
        ({"unavailable_rate": 0.9}, (1, 25)),
    ],
)
def test_flex_answers_what_it_can_and_the_default_tier_the_rest(
    spark: SparkSession, bedrock: Start, faults: dict[str, Any], flex_calls: tuple[int, int]
) -> None:
    """Every row is answered and paid for once, each at the price of the tier that answered it."""
    local = bedrock({"flex": faults})
    report = ask_gpt(spark, local, 30, fallback={"attempts": 1, "rounds": 1})
    assert report.outcomes["ok"] == report.served_by["fallback"] == 30
    usage = local.usage()
    bill = usage["invocations"][GPT]
    least, most = flex_calls
    assert least <= bill["flex_calls"] <= most
    assert bill["calls"] == 30
    assert usage["paid_again"]["answers"] == 0
    flex = bill["flex_input_tokens"] + bill["flex_output_tokens"]
    every = bill["input_tokens"] + bill["output_tokens"]
    assert report.cost is not None
    assert report.cost["fallback"] == pytest.approx((every - flex / 2) / 1000, abs=1e-4)
    by_tier = {each["tier"]: each for each in report.fallback_models}
    used = by_tier.get("flex", {"answers": 0, "tokens": {"input": 0, "output": 0}})
    assert used["tokens"]["input"] + used["tokens"]["output"] == flex
    assert used["answers"] == bill["flex_calls"]
    assert sum(each["answers"] for each in by_tier.values()) == 30
    assert {each["model_id"] for each in by_tier.values()} == {GPT}
    assert report.unpriced == []


def test_without_a_flex_price_no_tier_is_sent(spark: SparkSession, bedrock: Start) -> None:
    """Claude has none, and a config may say default."""
    local = bedrock({"flex": {"unsupported": ["*"]}})
    assert ask_gpt(spark, local, 5, fallback={"service_tier": "default"}).outcomes["ok"] == 5
    assert local.requests()["InvokeModel"] == 5
