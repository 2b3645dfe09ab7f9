"""The controller of a run is killed: the next controller carries on, and the bill is the same."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_emulator import LocalBedrock
from bedrock_spark.config import Config
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report.values import all_outcomes
from tests.e2e.conftest import BUCKET, provision
from tests.e2e.test_whole_answers import KINDS, PAID, RETRY, RULES, questions
from tests.modules import run_module
from tests.spark_sessions import CLAUDE, make_config

pytestmark = pytest.mark.long

FAULTS = {
    "quotas": {"active_jobs": 4, "min_records": 10},
    "records": [{"share": 0.1, "code": 500}],
}
# Points while jobs are submitted: before the append to the write-ahead log, and after a create
# call. test_killed_everywhere.py covers every call, without Spark.
SUBMITTING = ("append:before:1", "create:after:2")


def kill_at(point: str, config: Config, folder: Path) -> None:
    """Control the run in a process that dies at `point`."""
    path = folder / "config.json"
    path.write_text(config.model_dump_json())
    done = run_module("tests.e2e.killed_controller", folder, str(path), point)
    assert done.returncode == -signal.SIGKILL, f"{point}: {done.stderr[-2000:]}"


def test_killed_after_every_stage_and_around_every_call(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """A run killed after each stage and around calls still finishes, and each job is paid once."""
    source = tmp_path / "tickets"
    rows = spark.range(200).select("id", F.concat(F.lit("ticket "), "id").alias("body"))
    rows.write.parquet(str(source))
    local = bedrock(FAULTS)
    config = make_config(
        f"s3://{BUCKET}/runs/killed",
        endpoint_url=local.endpoint_url,
        source={"format": "parquet", "path": str(source)},
        shards={"max_records": 20, "min_records": 10},
        fallback={"model_id": provision(local)},
    )
    kill_at("after:prepare", config, tmp_path)
    for point in SUBMITTING:
        kill_at(point, config, tmp_path)
    kill_at("after:watch", config, tmp_path)
    kill_at("after:collect", config, tmp_path)
    kill_at("after:fallback", config, tmp_path)

    invocations = local.usage()["totals"]["invocations"]
    report = Pipeline.open(config).run_all(spark)

    assert report.outcomes == all_outcomes({"ok": 200})
    usage = local.usage()
    names = [job["job_name"] for job in usage["jobs"]]
    assert len(names) == len(set(names)) == report.shards == report.attempts
    assert usage["paid_again"]["records"] == 0
    assert usage["totals"]["records_billed"] == report.served_by["batch"]
    assert usage["totals"]["invocations"] == report.served_by["fallback"] == invocations
    shards = {job["input_uri"] for job in usage["jobs"]}
    assert len(shards) == report.shards
    assert json.dumps(report.as_json())


def test_killed_while_answers_are_asked_again(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """How often a record was asked, and with which limit, follows from the run folder.

    So each answer is paid for exactly as often as without a kill, by batch and by the fallback.
    """
    source = tmp_path / "questions"
    questions(spark).write.parquet(str(source))
    local = bedrock({"quotas": {"min_records": 10}})
    local.set_answers(*RULES)
    config = make_config(
        f"s3://{BUCKET}/runs/killed-again",
        endpoint_url=local.endpoint_url,
        source={"format": "parquet", "path": str(source)},
        request={"prompt": "{{ body }}", "max_tokens": 20, **RETRY},
        # The first round of 50 records is a batch job; 30 are too few for the second.
        shards={"max_records": 60, "min_records": 40},
        fallback={"model_id": CLAUDE, "rounds": 1},
        results={"max_errors": 1.0},
    )
    for point in (
        *("after:prepare", "after:watch", "after:collect"),
        # Now the records whose answers are not ok get a job of their own.
        *("append:before:1", "create:after:1", "after:watch", "after:fallback"),
    ):
        kill_at(point, config, tmp_path)

    report = Pipeline.open(config).run_all(spark)

    assert report.outcomes == all_outcomes({"ok": 40, "truncated": 10, "refused": 10})
    assert (report.attempts, report.unanswered) == (2, 0)
    totals = local.usage()["totals"]
    assert totals["records_billed"] == 60 + 50
    assert totals["invocations"] == 30
    assert sum(KINDS[kind] * times for kind, times in PAID.items()) == 60 + 50 + 30
