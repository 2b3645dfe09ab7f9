"""The state machine, run with stages that end as a test says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark import lambda_handler
from bedrock_spark.chain import config_of_run
from bedrock_spark.config import Config
from bedrock_spark.errors import BudgetError, ConfigError, ExitCode, RunHeldError, StorageError
from bedrock_spark.fanout import StepResult
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import begin_run, open_run
from bedrock_spark.run_models import RunModels
from tests.unit.deploy.asl import Execution, TaskError, execute
from tests.unit.deploy.kit import CONFIGS, plan_of, texts_of
from tests.unit.deploy.test_requests import check
from tests.unit.fakes import FakeClock, config_values

SPARK_FAILED = "States.TaskFailed"


def machine_of(config: str) -> dict[str, Any]:
    _, plan = plan_of("stepfunctions", config)
    machine: dict[str, Any] = json.loads(texts_of(plan)["state-machine.json"])
    return machine


def run(config: str, steps: Sequence[int | str], spark: Sequence[str | None]) -> Execution:
    """Run the machine. steps, spark: how steps and Spark jobs end, in order; a text is an error."""
    left: dict[str, list[Any]] = {"lambda": [*steps], "spark": [*spark]}

    def task(resource: str, parameters: dict[str, Any]) -> Any:
        kind = "lambda" if resource == "arn:aws:states:::lambda:invoke" else "spark"
        outcome = left[kind].pop(0)
        if isinstance(outcome, str):
            raise TaskError(outcome, f"the cause of {outcome}")
        return {"Payload": {"exit_code": outcome}} if kind == "lambda" else {"JobRunId": "1"}

    execution = execute(machine_of(config), task, lambda _: None)
    assert left == {"lambda": [], "spark": []}
    return execution


def test_no_cluster_runs_while_bedrock_works() -> None:
    """Steps are repeated while there is more to do, or another process controls the run."""
    execution = run("plain", [10, 11, 10, 0], [None, None])
    assert execution.status == "SUCCEEDED"
    assert execution.path == [
        "Prepare",
        *["Advance", "AreJobsOver", "WaitForBedrock"] * 3,
        *("Advance", "AreJobsOver", "Collect", "Done"),
    ]
    assert execution.waits == [300] * 3


def test_the_fallback_collects_too() -> None:
    execution = run("published", [0], [None, None])
    assert execution.path == ["Prepare", "Advance", "AreJobsOver", "Fallback", "Done"]


def test_records_are_asked_again_as_long_as_there_are_jobs() -> None:
    """Collect fails with exit code 10 then. What follows is decided by a step."""
    execution = run("asked_again", [0, 10, 0, 10, 0], [None, SPARK_FAILED, SPARK_FAILED, None])
    assert execution.status == "SUCCEEDED"
    assert execution.path.count("Collect") == 3
    assert execution.path.count("WaitForBedrock") == 2


def test_a_collect_that_fails_for_another_reason_fails() -> None:
    """No job is due after it, so no later collect would end in another way."""
    execution = run("asked_again", [0, 0], [None, SPARK_FAILED])
    assert (execution.status, execution.error) == ("FAILED", SPARK_FAILED)
    assert execution.cause == f"the cause of {SPARK_FAILED}"


def test_the_fallback_follows_when_no_more_jobs_are_due() -> None:
    config = "asked_again_and_fallback"
    execution = run(config, [0, 10, 0, 0], [None, SPARK_FAILED, SPARK_FAILED, None])
    assert (execution.status, execution.path[-2:]) == ("SUCCEEDED", ["Fallback", "Done"])
    # Collect has ended with exit code 0: the results are final.
    assert "Fallback" not in run(config, [0], [None, None]).path


def test_spark_jobs_are_tried_twice_and_steps_until_the_service_answers() -> None:
    errors = ["Lambda.ServiceException", "JobThrottledError", "Sandbox.Timedout"]
    execution = run("plain", [*errors, 0], [SPARK_FAILED, None, None])
    assert execution.status == "SUCCEEDED"
    assert run("plain", [], [SPARK_FAILED] * 2).status == "FAILED"


@pytest.mark.parametrize("error", ["BudgetError", "JobRejectedError", "RunStoppedError"])
def test_what_a_person_must_correct_ends_the_execution_at_once(error: str) -> None:
    execution = run("plain", [10, error], [None])
    assert (execution.status, execution.error) == ("FAILED", error)


@pytest.mark.parametrize("config", CONFIGS)
def test_its_requests_are_those_of_the_service(config: str) -> None:
    """With keys in PascalCase, as Step Functions wants them; those of tags are the user's."""
    for name, state in machine_of(config)["States"].items():
        parameters = state.get("Parameters")
        if state["Type"] != "Task" or "FunctionName" in parameters:
            continue
        tags = parameters.pop("Tags")
        check("emr-serverless", "StartJobRun", {**_camel(parameters), "tags": tags})
        assert parameters["JobDriver"]["SparkSubmit"]["EntryPoint"].endswith(f"{name.lower()}.py")


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _camel(item) for key, item in value.items()}
    return value


class FakePipeline:
    """A run whose next step ends as `outcome` says."""

    outcome: StepResult | Exception

    @classmethod
    def open(cls, config: Config) -> FakePipeline:
        assert config.run_uri == config_values()["run_uri"]
        return cls()

    def advance(self) -> StepResult:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_the_function_returns_what_takes_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And raises what a person must correct, under the name that the state machine shows."""
    monkeypatch.setattr(lambda_handler, "Pipeline", FakePipeline)
    event = {"config": str(tmp_path / "config.yaml")}
    (tmp_path / "config.yaml").write_text(json.dumps(config_values()))
    for settled, code in ((1, 10), (2, 0)):
        FakePipeline.outcome = StepResult(2, settled, 0, 2 - settled, 9, 9)
        assert lambda_handler.advance(event)["exit_code"] == code
    json.dumps(lambda_handler.advance(event))  # a reply of a function is JSON
    FakePipeline.outcome = RunHeldError("held by host, pid 1")
    held = lambda_handler.advance(event)
    assert held == {"exit_code": ExitCode.BUSY, "message": "held by host, pid 1"}
    FakePipeline.outcome = BudgetError("spent")
    with pytest.raises(BudgetError):
        lambda_handler.advance(event)
    with pytest.raises(ConfigError, match="the event has no `config`"):
        lambda_handler.advance({})


def test_the_function_leaves_rows_to_the_stage_that_asks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage whose failures a later one asks, and has prepared, submits no job: none is created.

    The shard has no file, so any attempt would be an error.
    """
    stages = [{"name": "classify"}, {"name": "retry", "outcome": "error"}]
    values = {**config_values(str(tmp_path / "runs")), "stages": stages}
    monkeypatch.setattr(RunModels, "check", lambda _: None)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**values, "source": {"path": "a.parquet", "key": "id"}}))
    run = begin_run(open_run(config_of_run(f"{file}#classify"), FakeClock()))
    shards = (Shard("shard-0", 100, 100, "0"),)
    commit_manifest(run.storage, RunManifest(run.run_id, 100, "a INT", shards, ()))
    event = {"config": f"{file}#classify"}
    with pytest.raises(StorageError):  # it reads the first record, for the canary
        lambda_handler.advance(event)
    (tmp_path / "runs" / "retry").mkdir()
    (tmp_path / "runs" / "retry" / "manifest.json").write_text("{}")
    assert lambda_handler.advance(event)["exit_code"] == ExitCode.DONE
