"""The examples of docs/clusters.md: commands, requests, the computed example."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bedrock_spark import lambda_handler
from bedrock_spark.cli import main
from bedrock_spark.errors import ExitCode
from tests.docs import ROOT, table_rows
from tests.unit.deploy.kit import BY_NAME
from tests.unit.deploy.test_requests import check

DOC = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    (text,) = re.findall(rf"^```{name}\n(.*?)^```", DOC, re.DOTALL | re.MULTILINE)
    return str(text)


COMMANDS = [
    line
    for text in re.findall(r"^```bash\n(.*?)^```", DOC, re.DOTALL | re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines()
    if line.startswith("bedrock-spark deploy")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the README's config, unchanged."""
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[:1]
    (tmp_path / "tickets.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)[1:]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (tmp_path / f"deploy-{arguments[1]}" / "config.yaml").exists()


def test_every_target_has_an_example_and_a_row() -> None:
    assert {command.split()[2] for command in COMMANDS} == set(BY_NAME)
    rows = table_rows(DOC, ("target", "writes", "waits for Bedrock"))
    assert [re.findall(r"`(.*?)`", row[0])[0] for row in rows] == list(BY_NAME)


def test_the_requests_and_the_policy() -> None:
    """The policy allows what the state machine does."""
    check("emr-serverless", "CreateApplication", json.loads(block("json create-application")))
    statements = json.loads(block("json machine-role"))["Statement"]
    actions = {action for s in statements for action in _many(s["Action"])}
    assert {"emr-serverless:StartJobRun", "lambda:InvokeFunction"} < actions


def _many(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_the_computed_example_is_right() -> None:
    """The sums follow from the assumptions that stand beside them."""
    cluster, steps = table_rows(DOC, ("while Bedrock works", "computed", "costs"))
    hours, nodes, price, ec2, emr = (
        float(x) for x in re.findall(r"\d+\.?\d*", re.sub(r"m6i\S+", "", cluster[1]))
    )
    assert ec2 + emr == pytest.approx(price)
    assert f"${hours * nodes * price:.2f}" == cluster[2]
    count, moves, move_price, seconds, memory, second_price = (
        float(x) for x in re.findall(r"\d+\.?\d*", steps[1])
    )
    assert count == hours * 60 / 5
    assert f"${count * (moves * move_price + seconds * memory * second_price):.2f}" == steps[2]


def test_the_codes_are_those_of_the_commands() -> None:
    """Every code has a row."""
    shown: set[int] = set()
    for code, _ in table_rows(DOC, ("code", "then")):
        numbers = [int(number) for number in re.findall(r"\d+", code)]
        shown |= set(range(numbers[0], numbers[-1] + 1)) if " to " in code else set(numbers)
    assert shown >= set(map(int, ExitCode))


def test_the_example_for_other_schedulers(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [10, 11, 0]
    monkeypatch.setattr(lambda_handler, "advance", lambda _: {"exit_code": codes.pop(0)})
    names: dict[str, Any] = {}
    exec(compile(block("python scheduler"), "clusters.md", "exec", dont_inherit=True), names)
    assert [names["is_over"]("s3://b/config.yaml") for _ in range(3)] == [False, False, True]


def test_the_files_of_the_readme_config_name_its_run(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[:1]
    assert f"{yaml.safe_load(text)['run_uri']}-deploy/config.yaml" in DOC
