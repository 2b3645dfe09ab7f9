"""`bedrock-spark deploy`: what it prints, and when it writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bedrock_spark.cli import main
from bedrock_spark.deploy import TARGETS
from bedrock_spark.errors import ExitCode
from tests.unit.deploy.kit import BY_NAME, CONFIGS
from tests.unit.fakes import config_values


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    values = config_values("s3://bucket/runs/one", **CONFIGS["published"])
    (tmp_path / "tickets.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(target: str, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        main, ["deploy", target, "--config", "tickets.yaml", *arguments], catch_exceptions=False
    )
    return result.exit_code, result.stdout, result.stderr


def required(target: str) -> list[str]:
    options = BY_NAME[target].options
    return [word for o in options if o.is_required for word in (f"--{o.name}", o.example)]


@pytest.mark.parametrize("target", BY_NAME)
def test_the_files_and_the_commands_are_listed(folder: Path, target: str) -> None:
    """Every file that a command names was written; --json has the same."""
    code, stdout, stderr = call(target, *required(target), "--json")
    assert code == 0, stderr
    shown = json.loads(stdout)
    assert shown["target"] == target
    written = {str(path.relative_to(folder)) for path in folder.glob(f"deploy-{target}/**/*.*")}
    assert written == set(shown["files"])
    commands = " ".join(command for _, command in shown["commands"])
    assert f"bash deploy-{target}/upload.sh" in commands
    for word in commands.replace("file://", " ").replace("(cd ", " ").split():
        path = folder / word.strip("'")
        if word.startswith(f"deploy-{target}/") and not word.endswith(".zip"):
            assert path.exists(), word
    code, stdout, _ = call(target, *required(target))  # again: the same files
    assert code == 0
    for _, command in shown["commands"]:
        assert command in stdout
    assert stdout.splitlines()[-1] == f"deploy-{target}: {len(written)} files for {target}"


def test_missing_options_are_all_named_and_nothing_is_written(folder: Path) -> None:
    code, _, stderr = call("emr-serverless", "--json")
    assert code == ExitCode.USAGE
    assert "--application-id is missing, such as " in stderr
    assert "--execution-role-arn is missing, such as arn:" in stderr
    assert not (folder / "deploy-emr-serverless").exists()


def test_problems_of_the_config_come_first(folder: Path) -> None:
    """As `check` shows them, and what only a cluster cannot use."""
    for override, text in (("model.id=amazon.nova-litte-v1:0", "did you mean"),
                           ("run_uri=/tmp/x", "is a folder of this machine")):  # fmt: skip
        code, _, stderr = call("emr", "--set", override)
        assert code == ExitCode.CONFIG
        assert text in stderr
    assert not (folder / "deploy-emr").exists()


def test_an_edited_file_needs_force(folder: Path) -> None:
    assert call("emr", "-q")[0] == 0
    script = folder / "deploy-emr" / "bootstrap.sh"
    text = script.read_text()
    script.write_text("# mine\n")
    code, _, stderr = call("emr")
    assert code == ExitCode.FAILED
    assert "--force replaces" in stderr
    assert "-# mine" in stderr
    assert script.read_text() == "# mine\n"
    assert call("emr", "--force", "-q")[0] == 0
    assert script.read_text() == text


def test_every_target_has_help() -> None:
    """With its own options, and an example that is right."""
    for target in TARGETS:
        result = CliRunner().invoke(main, ["deploy", target.name, "--help"], terminal_width=200)
        assert result.exit_code == 0
        assert all(f"--{option.name}" in result.stdout for option in target.options)
        assert f"bedrock-spark deploy {target.name} --config tickets.yaml" in result.stdout
