"""`bedrock-spark status` and `stop` need only a run's URI, and no Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_emulator import LocalBedrock
from bedrock_spark.cli import main
from bedrock_spark.config import Config
from bedrock_spark.errors import RunStoppedError
from bedrock_spark.pipeline import Pipeline
from tests.e2e.kill_points import BUCKET, config_of, write_run

NAME = "runs/tickets"
URI = f"s3://{BUCKET}/{NAME}"
SLOW = {"quotas": {"min_records": 10}, "jobs": [{"share": 1.0, "slowdown": 10_000}]}


@pytest.fixture
def local(bedrock: Callable[..., LocalBedrock], monkeypatch: pytest.MonkeyPatch) -> LocalBedrock:
    """Start a Bedrock with slow jobs; set the environment so that clients use it."""
    local = bedrock(SLOW, seed=5)
    for name, value in local.environment().items():
        monkeypatch.setenv(name, value)
    return local


def config() -> Config:
    return config_of(
        NAME,
        {"poll_seconds": 0.05, "max_active_jobs": 2},
        prices={"batch": {"input": 0.1, "output": 0.5}},
        canary={"records": 0},
    )


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_a_run_is_shown_stopped_and_resumed(local: LocalBedrock) -> None:
    """Stop ends the jobs, not the run: nothing is submitted until the user runs it again."""
    pipeline = Pipeline.open(config())
    write_run(pipeline.run, (12, 12, 12))
    assert pipeline.advance().active == 2

    shown = json.loads(call("status", URI, "--json", "--endpoint-url", local.endpoint_url).stdout)
    assert (shown["shards"], shown["active"], shown["waiting"]) == (3, 2, 1)
    assert (shown["slots_used"], shown["slots"], shown["records"]) == (2, 2, 36)
    assert shown["cost"]["total"] == 0
    assert (shown["stage"], shown["is_finished"], shown["blocked"]) == ("batch", False, None)

    stopped = call("stop", URI)
    assert stopped.exit_code == 0
    assert "0 of 3 shards are done" in stopped.stdout
    (listed,) = json.loads(call("runs", f"s3://{BUCKET}/runs/", "--json").stdout)["runs"]
    assert (listed["state"], listed["stage"]) == ("held", "batch")
    jobs = local.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
    assert [job["status"] for job in jobs] == ["Stopped", "Stopped"]
    with pytest.raises(RunStoppedError, match="run or submit goes on"):
        Pipeline.open(config()).advance()
    output = call("status", URI).stdout
    assert "2 Stopped" in output
    assert "it was stopped by the user" in output
    assert output.splitlines()[-1] == "stage: batch, blocked by stopped"
    assert json.loads(call("status", URI, "--json").stdout)["blocked"]["by"] == "stopped"
    assert call("status", URI, "--quiet").output == "stage: batch, blocked by stopped\n"

    local.set_faults({"quotas": {"min_records": 10}})
    result = Pipeline.open(config()).watch()
    assert result is not None
    assert result.is_done
    assert local.usage()["totals"]["records_billed"] == 36
    assert local.usage()["paid_again"]["records"] == 0
    before = sorted(o.version for o in pipeline.run.storage.list(""))
    nothing = call("stop", URI)
    assert "there is nothing to stop: no batch job is active" in nothing.stdout
    assert json.loads(call("stop", URI, "--json").stdout)["stopped"] is False
    assert sorted(o.version for o in pipeline.run.storage.list("")) == before
    assert "batch jobs over" in call("status", URI).stdout


def test_a_uri_without_a_run_is_an_error(local: LocalBedrock) -> None:
    """Both commands exit with code 1 and a message."""
    for command in ("status", "stop"):
        uri = f"s3://{BUCKET}/nothing"
        done = call(command, uri, "--endpoint-url", local.endpoint_url)
        assert done.exit_code == 1
        assert "holds no run" in done.stderr
        done = call(command, uri, "--endpoint-url", local.endpoint_url, "--json")
        error = json.loads(done.stdout)["error"]
        assert (error["kind"], error["exit_code"]) == ("failed", 1)
        assert "holds no run" in error["message"]
