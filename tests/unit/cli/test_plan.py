"""`bedrock-spark plan` and `--plan`: exit codes, the file of a plan, wrong use."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bedrock_spark.cli import main, stages
from bedrock_spark.errors import ExitCode
from bedrock_spark.planning import Plan
from bedrock_spark.planning.agreement import read_plan
from bedrock_spark.planning.values import Refusal
from tests.unit.fakes import config_values
from tests.unit.planning.test_table import PLAN

REFUSAL = Refusal(kind="access", exit_code=int(ExitCode.ACCESS), message="the model has ended")
NOTHING: dict[str, Any] = {"is_prepared": True, "to_ask": 0, "pays": False}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that calls `plan`, for a plan that differs from the example's."""
    path = tmp_path / "tickets.yaml"
    path.write_text(json.dumps(config_values()))

    def called(*words: str, **update: Any) -> Result:
        found = PLAN.model_copy(update=update)
        module = importlib.import_module("bedrock_spark.cli.plan")
        monkeypatch.setattr(module, "plan", lambda *_, **__: found)
        return CliRunner().invoke(main, ["plan", str(path), *words])

    return called


@pytest.mark.parametrize(
    ("update", "code", "said"),
    [
        ({}, ExitCode.TO_PAY, "a run would cost about $0.1964"),
        ({"is_prepared": True, "to_ask": 7}, ExitCode.TO_PAY, "to ask       7 records have no"),
        ({"is_prepared": True, "to_ask": None}, ExitCode.TO_PAY, "a collect counts it"),
        (NOTHING, ExitCode.DONE, "nothing left to ask, and nothing to pay for"),
        ({"refusals": (REFUSAL,)}, ExitCode.ACCESS, "the model has ended"),
        ({**NOTHING, "refusals": (REFUSAL,)}, ExitCode.ACCESS, "the model has ended"),
    ],
)
def test_the_exit_code_says_whether_there_is_something_to_pay_for(
    call: Callable[..., Result], update: dict[str, Any], code: ExitCode, said: str
) -> None:
    """A run that would end before it pays has the code that it would end with."""
    shown = call(**update)
    assert shown.exit_code == code
    assert said in shown.output
    as_json = json.loads(call("--json", **update).stdout)
    assert ("error" in as_json) == (code == ExitCode.ACCESS)
    assert as_json["pays"] == update.get("pays", True)


def test_the_plan_is_written_as_json_prints_it(call: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    shown = call("--json", "--out", str(out))
    assert shown.exit_code == ExitCode.TO_PAY
    assert Plan.model_validate(json.loads(shown.stdout)) == read_plan(out) == PLAN
    assert f"tickets.yaml --plan {out}" in shown.stderr


@pytest.mark.parametrize("name", ["", "new/"])
def test_a_folder_for_the_plan_is_refused_before_the_source_is_read(
    call: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    shown = call("--out", f"{tmp_path}/{name}", "--json")
    assert shown.exit_code == ExitCode.CONFIG
    assert "name a file in it" in json.loads(shown.stdout)["error"]["message"]
    assert "rows" not in json.loads(shown.stdout)


def test_a_plan_that_would_not_begin_is_not_written(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Nobody can agree on it."""
    shown = call("--out", str(tmp_path / "plan.json"), refusals=(REFUSAL,))
    assert shown.exit_code == ExitCode.ACCESS
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize("words", [["--nope"], [], ["x.yaml", "--quiet", "--verbose"]])
@pytest.mark.parametrize("asked", [["--json"], []])
def test_wrong_use_of_plan_is_not_taken_for_something_to_pay(
    words: list[str], asked: list[str]
) -> None:
    """Its code is that of a wrong config."""
    failed = CliRunner().invoke(main, ["plan", *words, *asked])
    assert failed.exit_code == ExitCode.CONFIG
    if asked:
        assert json.loads(failed.stdout)["error"]["kind"] == "config"
    else:
        assert "Usage: " in failed.stderr


@pytest.mark.parametrize("stage", ["run", "prepare"])
def test_a_file_that_is_no_plan_ends_the_command_at_once(stage: str, tmp_path: Path) -> None:
    """Before the run folder is looked at."""
    path = tmp_path / "tickets.yaml"
    path.write_text(json.dumps(config_values()))
    (tmp_path / "plan.json").write_text("{}")
    failed = CliRunner().invoke(main, [stage, str(path), "--plan", str(tmp_path / "plan.json")])
    assert failed.exit_code == ExitCode.CONFIG
    assert "plan.json: is not a plan" in failed.stderr


def test_a_program_that_prepares_nothing_takes_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["collect.py", "--config", str(tmp_path / "x.yaml"), "--plan", "plan.json"]
    monkeypatch.setattr("sys.argv", words)
    assert stages.perform_from_arguments(stages.collect, None) == ExitCode.USAGE
    assert "--plan is of the programs run and prepare" in capsys.readouterr().err
