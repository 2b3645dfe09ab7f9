"""The deployed state machine, with the real stages and steps, against the local Bedrock."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark import lambda_handler
from bedrock_spark.deploy import Context, Deployment, write_files
from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.pipeline import Pipeline
from tests.e2e.conftest import BUCKET
from tests.e2e.test_run import PLAIN
from tests.spark_sessions import CLAUDE, make_config
from tests.unit.deploy.asl import TaskError, execute
from tests.unit.deploy.kit import BY_NAME, values_of

ROWS = 30


@pytest.mark.parametrize("has_fallback", [False, True])
def test_answers_that_do_not_fit_are_asked_again(
    spark: SparkSession,
    bedrock: Callable[..., LocalBedrock],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_fallback: bool,
) -> None:
    """By batch jobs, as `run` would: the machine goes back to its loop, and ends by itself."""
    failed = [{"share": 0.2, "code": 500}] if has_fallback else []
    local = bedrock({**PLAIN, "records": failed})
    local.set_answers({"match": "text 1", "text": '{"label": "fits"}'})
    source, results = tmp_path / "tickets", tmp_path / "answers"
    rows = spark.range(ROWS).selectExpr("cast(id AS string) AS id", "concat('text ', id) AS body")
    rows.write.parquet(str(source))
    config = make_config(
        f"s3://{BUCKET}/runs/machine",
        endpoint_url=local.endpoint_url,
        source={"format": "parquet", "path": str(source), "key": ["id"]},
        shards={"min_records": 10, "max_records": 80},
        request={"schema": "none"},  # the answers of the local Bedrock would fit
        results={
            "path": str(results),
            "parse": {"columns": "label string", "retries": 1},
            "max_errors": 1.0,
        },
        **({"fallback": {"model_id": CLAUDE, "rounds": 1}} if has_fallback else {}),
    )
    # As on a cluster, but for S3, which the files lie in.
    deployment = Deployment(config, "machine", str(tmp_path))
    target = BY_NAME["stepfunctions"]
    context = Context(deployment, values_of(target), str(tmp_path), "config.yaml")
    write_files(tmp_path, target.make(context).files, replace=False)
    codes: list[tuple[str, int]] = []

    def task(resource: str, parameters: dict[str, Any]) -> Any:
        if resource == "arn:aws:states:::lambda:invoke":
            try:
                reply = lambda_handler.advance(parameters["Payload"])
                return {"Payload": json.loads(json.dumps(reply))}
            except BedrockSparkError as exc:
                raise TaskError(type(exc).__name__, str(exc)) from exc
        submit = parameters["JobDriver"]["SparkSubmit"]
        script = submit["EntryPoint"]
        code = _run(monkeypatch, script, submit["EntryPointArguments"])
        codes.append((Path(script).stem, code))
        if code:
            raise TaskError("States.TaskFailed", f"exit code {code}")
        return {"JobRunId": "1"}

    machine = json.loads((tmp_path / "state-machine.json").read_text())
    execution = execute(machine, task, local.advance_clock)
    last = [("collect", 10), ("fallback", 0)] if has_fallback else [("collect", 0)]
    assert codes == [("prepare", 0), ("collect", 10), *last]
    assert execution.status == "SUCCEEDED", execution
    assert execution.waits == [300] * len(execution.waits)
    report = json.loads(Pipeline.open(config).run.storage.read("report.json"))
    assert (report["state"], report["jobs"]) == ("done", {"Completed": 2})
    assert sum(report["outcomes"].values()) == ROWS
    assert report["outcomes"]["ok"] + report["outcomes"]["invalid"] == ROWS
    assert report["outcomes"]["invalid"] > 9
    assert spark.read.parquet(str(results)).count() == ROWS
    assert ("InvokeModel" in local.requests()) is has_fallback


def _run(monkeypatch: pytest.MonkeyPatch, script: str, arguments: list[str]) -> int:
    """Run a script of the deployment in this process; return its exit code."""
    monkeypatch.setattr("sys.argv", [script, *arguments])
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0
