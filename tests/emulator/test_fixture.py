"""The pytest fixture works in a user's project that does not import this package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import boto3
import pytest


def test_a_day_passes_in_a_moment(local_bedrock):
    boto3.client("s3").create_bucket(Bucket="mine")
    boto3.client("s3").put_object(
        Bucket="mine",
        Key="in.jsonl",
        Body=b'{"recordId": "a", "modelInput": {"messages": [{"role": "user",'
        b' "content": [{"text": "hi"}]}]}}',
    )
    bedrock = boto3.client("bedrock")
    arn = bedrock.create_model_invocation_job(
        jobName="mine",
        roleArn="arn:aws:iam::123456789012:role/any",
        modelId="amazon.nova-lite-v1:0",
        inputDataConfig={"s3InputDataConfig": {"s3Uri": "s3://mine/in.jsonl"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://mine/out/"}},
    )["jobArn"]
    local_bedrock.advance_clock(24 * 3600)
    job = bedrock.get_model_invocation_job(jobIdentifier=arn)
    assert (job["status"], job["successRecordCount"]) == ("Completed", 1)


def test_faults_are_set(local_bedrock):
    local_bedrock.set_faults({"operations": {"ListFoundationModels": {"error_rate": 1.0}}})
    with pytest.raises(Exception, match="InternalServerException"):
        boto3.client("bedrock").list_foundation_models()


def test_faults_are_reset(local_bedrock):
    assert boto3.client("bedrock").list_foundation_models()["modelSummaries"]
"""


def test_the_fixture_works_in_another_project(tmp_path: Path) -> None:
    """pytest finds the fixture by its entry point; it serves, sets faults and resets them."""
    (tmp_path / "test_mine.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": "."},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
