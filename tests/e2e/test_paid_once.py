"""What is paid for is not asked again, and a lost lease ends the fallback. Calls are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.cli import main
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import RunFolderError, RunHeldError
from bedrock_spark.fallback import rounds as rounds_module
from bedrock_spark.fanout.scheduler import OUTPUT_SECONDS
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.claims import CLAIM_SECONDS, open_round
from bedrock_spark.run_folder.lease import LEASE_SECONDS, Lease, renewed
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import begin_run, open_run
from bedrock_spark.spark.fallback import stage as stage_module
from bedrock_spark.spark.prepare import stage as stage_of_prepare
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
URI = f"s3://{BUCKET}/runs/once"
ROWS = 60


class SkippingClock(SystemClock):
    """A clock that skips waits of ten seconds or more; a subclass may skip shorter ones, too."""

    at_least = 10.0

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return super().now() + self.skipped

    def sleep(self, seconds: float) -> None:
        if seconds >= self.at_least:
            self.skipped += seconds
        else:
            super().sleep(seconds)


def rows_of(spark: SparkSession) -> DataFrame:
    return spark.range(ROWS).select("id", F.concat(F.lit("ticket number "), "id").alias("body"))


def open_pipeline(local: LocalBedrock, clock: SystemClock | None = None, **more: Any) -> Pipeline:
    fallback = {"model_id": CLAUDE, "attempts": 1, **more.pop("fallback", {})}
    config = make_config(URI, endpoint_url=local.endpoint_url, fallback=fallback, **more)
    return Pipeline.open(config, clock)


def test_answers_that_are_claimed_and_not_found_are_bought_only_on_request(
    spark: SparkSession, bedrock: Start
) -> None:
    """All jobs are Completed, and their output is nowhere: nothing is asked, every row counts.

    With `fallback.ask_unfound` each record is asked once.
    """
    lost = [{"share": 1.0, "output": {"no_output": True}}]
    local = bedrock({"quotas": {"min_records": 10}, "jobs": lost})
    clock = SkippingClock()
    report = open_pipeline(local, clock).run_all(spark, rows_of(spark))
    assert report.outcomes["unfound"] == report.unfound == report.rows == ROWS
    assert "InvokeModel" not in local.requests()
    assert clock.skipped >= OUTPUT_SECONDS - 60
    assert {f["kind"] for f in report.findings} == {"count_mismatch", "unfound"}
    assert report.attempts == report.shards

    report = open_pipeline(local, clock).run_all(spark)
    assert "InvokeModel" not in local.requests()
    assert report.attempts == report.shards
    report = open_pipeline(local, clock, fallback={"ask_unfound": True}).run_all(spark)
    assert report.outcomes["ok"] == local.requests()["InvokeModel"] == ROWS


def test_a_collect_while_jobs_run_does_not_make_the_fallback_ask(
    spark: SparkSession, bedrock: Start
) -> None:
    """As in a notebook: collect, then watch, then fall back with what collect returned."""
    local = bedrock({"quotas": {"min_records": 10}}, speed=1.0)
    pipeline = open_pipeline(local)
    pipeline.prepare(spark, rows_of(spark))
    pipeline.advance()
    reconciled = pipeline.collect(spark)
    assert sum(shard.unanswered for shard in reconciled) == ROWS
    local.advance_clock(86_400)
    assert pipeline.watch() is not None
    reconciled = pipeline.fall_back(spark, reconciled)
    assert sum(shard.outcomes["ok"] for shard in reconciled) == ROWS
    assert "InvokeModel" not in local.requests()


@pytest.mark.parametrize("stage", ["watch", "advance", "fall_back"])
def test_a_run_that_was_begun_again_asks_nothing(
    spark: SparkSession, bedrock: Start, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Another process replaced it right before it committed, and did not find the manifest.

    Neither a batch job, nor the canary, nor the fallback is paid for with the first config.
    """
    local = bedrock({"quotas": {"min_records": 10}})
    small = {"min_records": 1_000, "max_records": 2_000} if stage == "fall_back" else {}
    first = open_pipeline(local, shards=small, canary={"records": 3})
    other = open_pipeline(local, request={"prompt": "Another {{ body }}", "max_tokens": 40})
    commit = stage_of_prepare.commit_manifest

    def commit_late(*arguments: Any) -> RunManifest:
        begin_run(open_run(other.run.config, SystemClock()))
        return commit(*arguments)

    monkeypatch.setattr(stage_of_prepare, "commit_manifest", commit_late)
    first.prepare(spark, rows_of(spark))
    reconciled = first.collect(spark)
    ask = {
        "watch": first.watch,
        "advance": first.advance,
        "fall_back": lambda: first.fall_back(spark, reconciled),
    }[stage]
    with pytest.raises(RunFolderError, match="begun this run again with another config; nothing"):
        ask()
    paid = {"CreateModelInvocationJob", "InvokeModel", "Converse"}
    assert paid.isdisjoint(local.requests())


def recording_waits(waits: list[float]) -> Callable[..., None]:
    """Return `open_round` with a clock that notes each wait, and waits as long."""

    class Recording(SystemClock):
        def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            super().sleep(seconds)

    return lambda storage, round_id, clock, observe: open_round(
        storage, round_id, Recording(), observe=observe
    )


def stop(local: LocalBedrock) -> None:
    """Take the lease over by the command `stop`, which must not wait in a test."""

    class SkipsAll(SkippingClock):
        at_least = 0.0

    with pytest.MonkeyPatch.context() as patch:
        for name, value in local.environment().items():
            patch.setenv(name, value)
        patch.setattr("bedrock_spark.cli.runs.SystemClock", SkipsAll)
        done = CliRunner().invoke(main, ["stop", URI, "--endpoint-url", local.endpoint_url])
    assert done.exit_code == 0, done.output


@pytest.mark.long
def test_stop_ends_a_fallback(
    spark: SparkSession, bedrock: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the lease over: Spark's tasks are cancelled at the next heartbeat of the fallback.

    Spark ends their processes, so the next fallback does not wait for their claims to expire.

    No record is paid for twice, except those in flight when the tasks were cancelled.
    """
    local = bedrock({"thinking": {"least_seconds": 0.3, "most_seconds": 0.3}}, speed=1.0)
    small = {"min_records": 1_000, "max_records": 2_000}
    limit = {"concurrency": 1}
    pipeline = open_pipeline(local, shards=small, fallback=limit)
    pipeline.prepare(spark, rows_of(spark))
    reconciled = pipeline.collect(spark)

    def with_quick_heartbeats(lease: Lease, on_lost: Callable[[], None]) -> Any:
        return renewed(lease, on_lost, interval=0.2)

    monkeypatch.setattr(rounds_module, "renewed", with_quick_heartbeats)

    def end_soon() -> None:
        while local.requests().get("InvokeModel", 0) < 4:
            time.sleep(0.05)
        stop(local)

    other = threading.Thread(target=end_soon)
    other.start()
    with pytest.raises(RunHeldError, match="being stopped"):
        pipeline.fall_back(spark, reconciled)
    other.join()
    asked = local.requests()["InvokeModel"]
    waits: list[float] = []
    monkeypatch.setattr(stage_module, "open_round", recording_waits(waits))
    assert 4 <= asked < ROWS - 10
    clock = SkippingClock()
    clock.skipped = 3 * LEASE_SECONDS
    second = open_pipeline(local, clock, shards=small, fallback={"concurrency": 32})
    reconciled = second.fall_back(spark, second.collect(spark))
    assert sum(waits) < CLAIM_SECONDS  # their processes are soon seen to be dead
    assert sum(shard.outcomes["ok"] for shard in reconciled) == ROWS
    unwritten = 5 * 4 * 2  # 5 seconds of answers by two tasks, which had no time to write them
    assert local.requests()["InvokeModel"] <= ROWS + unwritten
