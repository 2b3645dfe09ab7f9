"""Ctrl-C and SIGTERM at any moment: no process stays, no stack is printed, the text is true."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bedrock_emulator import LocalBedrock
from tests.e2e.interrupted import SECONDS, Command, interrupt, start, write_config
from tests.forked_emulator import BUCKET
from tests.spark_sessions import CLAUDE, ROLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

ROWS = 120
SECTIONS = {
    "run_uri": f"s3://{BUCKET}/runs/interrupted",
    "model": {"id": CLAUDE},
    "request": {"prompt": "Classify: {{ body }}", "max_tokens": 20},
    "batch": {"role_arn": ROLE, "region": "us-east-1", "poll_seconds": 0.2},
}
Start = Callable[..., LocalBedrock]


def runs(command: Command, program: str) -> bool:
    """Tell whether a program of Spark runs. Java's own process has its program's name, too."""
    return any(words.split()[0].endswith(program) for words in command.descendants().values())


def jobs_of(local: LocalBedrock) -> list[dict[str, Any]]:
    listed = local.client("bedrock").list_model_invocation_jobs()
    jobs: list[dict[str, Any]] = listed["invocationJobSummaries"]
    return jobs


@pytest.mark.parametrize("program", ["bash", "java"])
def test_while_java_starts(bedrock: Start, tmp_path: Path, program: str) -> None:
    """PySpark alone leaves Java behind: it cannot report its port, and waits for ever."""
    config = write_config(tmp_path, ROWS, **SECTIONS)
    command = start(config, bedrock())
    said = interrupt(command, lambda: runs(command, program))
    assert "no batch job was submitted yet" in said


@pytest.mark.long
def test_before_and_while_jobs_run(bedrock: Start, tmp_path: Path) -> None:
    """In prepare there is no job; then one runs, which the command that stops it needs to know."""
    local = bedrock(speed=1.0)  # a job takes minutes
    config = write_config(tmp_path, ROWS, **SECTIONS)
    command = start(config, local)
    said = interrupt(command, lambda: command.has_printed("prepare "), signal.SIGTERM)
    assert "no batch job was submitted yet" in said
    command = start(config, local)
    said = interrupt(command, lambda: bool(jobs_of(local)))
    assert "1 batch job keeps running" in said
    assert f"bedrock-spark stop {SECTIONS['run_uri']}" in said
    assert len(jobs_of(local)) == 1


@pytest.mark.long
def test_after_the_jobs(bedrock: Start, tmp_path: Path) -> None:
    """In collect, the fallback and publishing all jobs are over. Then the run is finished."""
    local = bedrock({"records": [{"share": 0.2, "code": 500}]})
    fallback = {"model_id": CLAUDE, "max_share": 1.0}
    config = write_config(tmp_path, ROWS, **SECTIONS, fallback=fallback)
    for moment in ("collect ", "fallback ", "publish "):
        command = start(config, local)

        def is_here(command: Command = command, moment: str = moment) -> bool:
            return command.has_printed(moment)

        assert "all batch jobs are over" in interrupt(command, is_here)
    command = start(config, local)
    assert command.process.wait(SECONDS) == 0, command.errors
    assert pq.read_table(tmp_path / "answers")["outcome"].to_pylist() == ["ok"] * ROWS
    assert len(jobs_of(local)) == 1
