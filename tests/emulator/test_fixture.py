"""The pytest fixtures work in a user's project that does not import this package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import boto3
import pytest

JOB = {
    "jobName": "mine",
    "roleArn": "arn:aws:iam::123456789012:role/any",
    "modelId": "amazon.nova-lite-v1:0",
    "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://mine/in.jsonl"}},
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://mine/out/"}},
}


@pytest.mark.parametrize("repeated", range(3))
def test_a_day_passes_in_a_moment(bedrock_run, repeated):
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    boto3.client("s3").create_bucket(Bucket="mine")
    boto3.client("s3").put_object(
        Bucket="mine",
        Key="in.jsonl",
        Body=b'{"recordId": "a", "modelInput": {"messages": [{"role": "user",'
        b' "content": [{"text": "hi"}]}]}}',
    )
    bedrock = boto3.client("bedrock")
    assert bedrock_run.calls() == []
    arn = bedrock.create_model_invocation_job(**JOB)["jobArn"]
    bedrock_run.advance_clock(24 * 3600)
    job = bedrock.get_model_invocation_job(jobIdentifier=arn)
    assert (job["status"], job["successRecordCount"]) == ("Completed", 1)
    (call,) = bedrock_run.calls("CreateModelInvocationJob")
    assert call["body"]["jobName"] == "mine"
    assert [c["parameters"] for c in bedrock_run.calls("GetModelInvocationJob")] == [
        {"jobIdentifier": arn}
    ]
    assert bedrock_run.usage()["totals"]["records_billed"] == 1


def test_scripts_are_set(bedrock_run):
    bedrock_run.set_answers({"text": "Mine."})
    bedrock_run.set_faults({"operations": {"ListFoundationModels": {"error_rate": 1.0}}})
    with pytest.raises(Exception, match="InternalServerException"):
        boto3.client("bedrock").list_foundation_models()
    assert bedrock_run.calls()[-1]["error"] == "InternalServerException"


def test_scripts_are_reset(bedrock_run):
    assert boto3.client("bedrock").list_foundation_models()["modelSummaries"]
    assert bedrock_run.answers() == []


def test_the_session_has_one_emulator(bedrock, bedrock_run):
    assert bedrock is bedrock_run
"""


def test_the_fixtures_work_in_another_project(tmp_path: Path) -> None:
    """pytest finds them by their entry point. Each test finds the emulator empty."""
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
    assert "6 passed" in run.stdout
