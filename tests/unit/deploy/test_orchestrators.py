"""Airflow's DAG and Databricks' bundle, without their packages: `make test-clients` has them."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from bedrock_spark.errors import ExitCode
from tests.unit.deploy.kit import CONFIGS, plan_of, texts_of


class Deferred(Exception):  # noqa: N818 - as Airflow's TaskDeferred
    """A task was deferred."""


class FakeOperator:
    """What the DAG uses of Airflow's operators. tasks: all of them, in order."""

    tasks: list[FakeOperator]
    log = SimpleNamespace(info=lambda *_: None)

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.tasks.append(self)

    def __rshift__(self, other: FakeOperator) -> FakeOperator:
        other.options["after"] = self.options["task_id"]
        return other

    def defer(self, *, trigger: Any, method_name: str) -> None:
        raise Deferred(trigger, method_name)


class FakeDag:
    """A DAG as a context."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def __enter__(self) -> FakeDag:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeOperator.tasks = []
    final = type("AirflowFailException", (Exception,), {})
    names: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow.exceptions": {
            "AirflowException": type("AirflowException", (Exception,), {}),
            "AirflowFailException": final,
        },
        "airflow.providers.amazon.aws.operators.emr": {
            "EmrServerlessStartJobOperator": FakeOperator
        },
        "airflow.providers.standard.triggers.temporal": {"TimeDeltaTrigger": lambda delta: delta},
        "airflow.sdk": {"BaseOperator": FakeOperator, "DAG": FakeDag},
    }
    for name, members in names.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)


def dag_of(config: str) -> dict[str, Any]:
    """Run the file of the DAG; return its names."""
    _, plan = plan_of("airflow", config)
    (file,) = [file for file in plan.files if file.name.endswith("_dag.py")]
    names: dict[str, Any] = {"__name__": "dag"}
    exec(compile(file.text, file.name, "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(
    ("config", "tasks"),
    [
        ("plain", ["prepare", "advance", "collect"]),
        ("published", ["prepare", "advance", "fallback"]),
        ("asked_again", ["prepare", "advance", "collect", "advance_again", "collect_again"]),
        (
            "asked_again_and_fallback",
            ["prepare", "advance", "collect", "advance_again", "fallback"],
        ),
    ],
)
def test_the_tasks_of_a_dag(airflow: None, config: str, tasks: list[str]) -> None:
    """Each after the one before. Spark's are waited for by the triggerer."""
    dag_of(config)
    assert [task.options["task_id"] for task in FakeOperator.tasks] == tasks
    assert [task.options.get("after") for task in FakeOperator.tasks] == [None, *tasks[:-1]]
    for task in FakeOperator.tasks:
        assert ("job_driver" in task.options) is not task.options["task_id"].startswith("advance")
        assert task.options.get("deferrable", True)


@pytest.mark.parametrize("code", [*ExitCode, 137])
def test_what_the_waiting_task_does_with_exit_codes(
    airflow: None, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """It ends, is deferred, fails for good, or fails and is tried again."""
    names = dag_of("plain")
    advance = next(t for t in FakeOperator.tasks if t.options["task_id"] == "advance")
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return SimpleNamespace(returncode=int(code), stderr="error: why", stdout="")

    monkeypatch.setattr(subprocess, "run", run)
    ends = {
        **dict.fromkeys((ExitCode.MORE_TO_DO, ExitCode.BUSY), Deferred),
        **dict.fromkeys(range(2, 10), names["AirflowFailException"]),
        **dict.fromkeys((ExitCode.FAILED, 130, 143, 137), names["AirflowException"]),
    }
    if code == ExitCode.DONE:
        advance.execute({})  # type: ignore[attr-defined]
    else:
        with pytest.raises(ends[code]) as raised:
            advance.execute({})  # type: ignore[attr-defined]
        assert type(raised.value) is ends[code]
    assert commands == [
        ["bedrock-spark", "advance", "s3://bucket/runs/one-2026-deploy/config.yaml"]
    ]


@pytest.mark.parametrize("config", CONFIGS)
def test_tasks_of_databricks_share_no_cluster(config: str) -> None:
    """A shared one would live from the first of its tasks to the last, while Bedrock works."""
    context, plan = plan_of("databricks", config)
    texts = texts_of(plan)
    bundle = yaml.safe_load(texts["databricks.yml"])
    for job in bundle["resources"]["jobs"].values():
        keys = [task["job_cluster_key"] for task in job["tasks"]]
        assert len(set(keys)) == len(keys)
        assert keys == [cluster["job_cluster_key"] for cluster in job["job_clusters"]]
        before: list[str] = []
        for task in job["tasks"]:
            assert [d["task_key"] for d in task.get("depends_on", [])] == before[-1:]
            before.append(task["task_key"])
            script = task["spark_python_task"]["python_file"].removeprefix(
                f"{context.deployment.artifacts}/"
            )
            assert script in texts
    stages = bundle["resources"]["jobs"]["stages"]
    for cluster in stages["job_clusters"]:
        waits = cluster["job_cluster_key"].startswith("submit")
        assert (cluster["new_cluster"].get("num_workers") == 0) is waits
