"""Runs the examples of docs/emulator.md with their real clients.

The test with boto3 always runs. The others are large, so their tests run only if
BEDROCK_SPARK_CLIENTS is set, each in its own environment (see `client_environments`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bedrock_emulator import LocalBedrock
from bedrock_emulator.faults import Faults, read_faults

from .client_environments import environment, go, java, javascript
from .doc_examples import NAMES, example

large = pytest.mark.skipif(
    not os.environ.get("BEDROCK_SPARK_CLIENTS"),
    reason="installs a large client: set BEDROCK_SPARK_CLIENTS=1 to run it",
)
RECORDS = "".join(
    json.dumps(
        {
            "recordId": f"R{n}",
            "modelInput": {"messages": [{"role": "user", "content": [{"text": f"Question {n}"}]}]},
        }
    )
    + "\n"
    for n in range(100)
)


@pytest.fixture
def local() -> Iterator[LocalBedrock]:
    with LocalBedrock(speed=3000) as started:
        yield started


def _run(
    command: list[str], folder: Path, local: LocalBedrock, **extra: str
) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **local.environment(), **extra}
    run = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run


def test_the_boto3_example(tmp_path: Path, local: LocalBedrock) -> None:
    """As the page prints it."""
    run = _run([sys.executable, "-c", example("boto3")], tmp_path, local)
    status, manifest = run.stdout.strip().split(" ", 1)
    assert status == "Completed"
    assert json.loads(manifest)["successRecordCount"] == 100


def test_every_example_is_run() -> None:
    """By a test in this folder."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert len(NAMES) > 7
    assert [name for name in NAMES if f'example("{name}")' not in tests] == []


def test_the_fault_script_example_is_valid() -> None:
    """It shows every key that a fault script can have."""
    script = yaml.safe_load(example("faults"))
    assert read_faults(script) != Faults()
    text = example("faults")
    for definition in Faults.model_json_schema()["$defs"].values():
        for key in definition["properties"]:
            assert f"{key}:" in text, key


@large
def test_the_aws_cli_example(tmp_path: Path, local: LocalBedrock) -> None:
    """With the real AWS CLI."""
    path = f"{environment('awscli')}:{os.environ['PATH']}"
    (tmp_path / "records.jsonl").write_text(RECORDS)
    run = _run(["bash", "-eu", "-c", example("awscli")], tmp_path, local, PATH=path)
    assert '"successRecordCount":100' in run.stdout
    assert '"end_turn"' in run.stdout
    (output,) = (tmp_path / "out").glob("*/records.jsonl.out")
    assert len(output.read_text().splitlines()) == 100


@large
def test_the_airflow_example(tmp_path: Path, local: LocalBedrock) -> None:
    """With the real operator, its waiter, and the sensor."""
    s3 = local.client("s3")
    s3.create_bucket(Bucket="airflow-bucket")
    s3.put_object(Bucket="airflow-bucket", Key="in/records.jsonl", Body=RECORDS.encode())
    python = str(environment("airflow") / "python")
    home = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    run = _run([python, "-c", example("airflow")], tmp_path, local, **home)
    arn, done = run.stdout.strip().splitlines()[-1].split()
    assert done == "True"
    job = local.client("bedrock").get_model_invocation_job(jobIdentifier=arn)
    assert (job["status"], job["successRecordCount"]) == ("Completed", 100)


@large
@pytest.mark.skipif(shutil.which("npm") is None, reason="Node and npm are not installed")
def test_the_javascript_example(local: LocalBedrock) -> None:
    """With the SDK's defaults: HTTP/2 for the runtime, a streamed object, a stream of events."""
    home = javascript()
    (home / "example.mjs").write_text(example("javascript"))
    (home / "records.jsonl").write_text(RECORDS)
    run = _run(["node", "example.mjs"], home, local)
    assert run.stdout.splitlines() == [
        "end_turn",
        'This is a made-up answer of the local Bedrock. You asked: "Hello"',
        "Completed 100",
    ]


@large
@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_the_go_example(tmp_path: Path, local: LocalBedrock) -> None:
    """With the SDK's defaults."""
    program = go(example("go"))
    (tmp_path / "records.jsonl").write_text(RECORDS)
    run = _run([str(program)], tmp_path, local)
    assert run.stdout.splitlines() == ["end_turn", "Completed 100"]


@large
@pytest.mark.skipif(shutil.which("mvn") is None, reason="Maven is not installed")
def test_the_java_example(tmp_path: Path, local: LocalBedrock) -> None:
    """Clients that wait, and asynchronous ones: a stream over HTTP/2, and an object."""
    command = java(example("java"))
    (tmp_path / "records.jsonl").write_text(RECORDS)
    run = _run(command, tmp_path, local)
    assert run.stdout.splitlines() == [
        "end_turn",
        'This is a made-up answer of the local Bedrock. You asked: "Hello"',
        "Completed",
    ]
    body = local.client("s3").get_object(Bucket="java-bucket", Key="async")["Body"].read()
    assert body == b"hello"
