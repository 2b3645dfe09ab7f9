"""A run is carried on with what its folder says: its Region, its account, its newest config."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_emulator import LocalBedrock
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_spark.aws import clients
from bedrock_spark.cli import main
from bedrock_spark.config import Config
from bedrock_spark.errors import RunFolderError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder import layout
from tests.e2e.kill_points import BUCKET, config_of, write_run
from tests.models import SONNET

NAME = "runs/carried-on"
URI = f"s3://{BUCKET}/{NAME}"
SLOW = {"quotas": {"min_records": 10}, "jobs": [{"share": 1.0, "slowdown": 10_000}]}
PRICES = {"batch": {"input": 0.1, "output": 0.5}}
OTHER_ACCOUNT = "999999999999"


@pytest.fixture
def local(bedrock: Callable[..., LocalBedrock], monkeypatch: pytest.MonkeyPatch) -> LocalBedrock:
    """Start a Bedrock with slow jobs; set the environment so that clients use it."""
    local = bedrock(SLOW, seed=5)
    for name, value in local.environment().items():
        monkeypatch.setenv(name, value)
    return local


def config(batch: dict[str, Any], **sections: Any) -> Config:
    options = {"poll_seconds": 0.05, "max_active_jobs": 2, **batch}
    return config_of(NAME, options, canary={"records": 0}, **sections)


def begin(batch: dict[str, Any], **sections: Any) -> Pipeline:
    """Begin a run of three shards, and submit two of them."""
    pipeline = Pipeline.open(config(batch, **sections))
    write_run(pipeline.run, (12, 12, 12))
    assert pipeline.advance().active == 2
    return pipeline


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def active_jobs(local: LocalBedrock, region: str) -> int:
    client = local.client("bedrock", region_name=region)
    jobs = client.list_model_invocation_jobs()["invocationJobSummaries"]
    return sum(job["status"] not in ("Stopped", "Completed") for job in jobs)


def test_the_region_and_the_account_are_those_of_the_folder(
    local: LocalBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine has another Region in its environment: it lists the jobs where they are."""
    pipeline = begin({"region": None})
    described = json.loads(pipeline.run.storage.read(layout.RUN_FILE))
    assert (described["region"], described["account"]) == ("us-east-1", ACCOUNT_ID)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    result = Pipeline.open(config({"region": None, "max_active_jobs": 3})).advance()
    assert (result.active, result.waiting) == (3, 0)
    assert active_jobs(local, "us-east-1") == 3
    assert active_jobs(local, "eu-west-1") == 0
    with pytest.raises(RunFolderError, match=r"in the Region us-east-1, and batch\.region is eu-w"):
        Pipeline.open(config({"region": "eu-west-1"}))
    refused = call("stop", URI, "--region", "eu-west-1")
    assert refused.exit_code == 3
    assert "is a run in the Region us-east-1" in refused.stderr
    assert active_jobs(local, "us-east-1") == 3
    assert call("stop", URI).exit_code == 0
    assert active_jobs(local, "us-east-1") == 0


def test_credentials_of_another_account_are_refused(
    local: LocalBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would see none of the run's jobs, and submit all of them a second time."""
    begin({})
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/other"
    theirs = local.client("sts").assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", theirs["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", theirs["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", theirs["SessionToken"])
    clients._make_client.cache_clear()
    try:
        for command in ("status", "stop"):
            done = call(command, URI)
            assert done.exit_code == 3
            assert f"holds a run of the AWS account {ACCOUNT_ID}" in done.stderr
        with pytest.raises(RunFolderError, match=f"the account {OTHER_ACCOUNT}, which cannot see"):
            Pipeline.open(config({}))
    finally:
        clients._make_client.cache_clear()
    assert active_jobs(local, "us-east-1") == 2


def test_status_and_stop_use_the_newest_config(local: LocalBedrock) -> None:
    """Its prices and slots, and its targets: the run was begun without them."""
    begin({}, prices={"source": "none"})
    assert json.loads(call("status", URI, "--json").stdout)["cost"] is None
    local.client("s3", region_name="us-west-2").create_bucket(
        Bucket="west", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    targets = [
        {"model_id": config({}).model.id},
        {"model_id": SONNET, "region": "us-west-2", "uri": "s3://west/runs"},
    ]
    newer = config({"max_active_jobs": 2}, prices=PRICES, targets=targets)
    assert Pipeline.open(newer).advance().active == 3
    assert active_jobs(local, "us-west-2") == 1
    shown = json.loads(call("status", URI, "--json").stdout)
    assert (shown["cost"]["total"], shown["slots"], shown["active"]) == (0, 4, 3)
    assert call("stop", URI).exit_code == 0
    assert [active_jobs(local, region) for region in ("us-east-1", "us-west-2")] == [0, 0]
    prefix = f"{NAME}/{layout.CONFIGS}/"
    stored = local.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    assert [item["Key"] for item in stored] == [f"{NAME}/{layout.config_key(1)}"]
