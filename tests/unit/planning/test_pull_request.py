"""The pull requests of docs/plan.md: their commands, and what they make of an exit code."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command_lines import calls_in, parse
from tests.docs import ROOT

PAGE = (ROOT / "docs" / "plan.md").read_text("utf-8")


def example(name: str) -> Any:
    block = re.search(rf"^```yaml {name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    return yaml.safe_load(block[1])


def scripts() -> list[str]:
    """Return all shell code of both examples."""
    steps = example("github")["jobs"]["plan"]["steps"]
    return [step["run"] for step in steps if "run" in step] + example("gitlab")["plan"]["script"]


def test_the_commands_are_accepted() -> None:
    calls = [call for script in scripts() for call in calls_in(script)]
    assert [call[0] for call in calls] == ["plan", "plan"]
    for call in calls:
        parse(call)


@pytest.mark.parametrize("code", [0, 2, 3])
def test_code_2_is_noted_and_an_error_ends_the_job(code: int, tmp_path: Path) -> None:
    """As GitHub runs a step: by `bash -e`."""
    program = tmp_path / "bedrock-spark"
    program.write_text(f"#!/bin/sh\necho the plan\nexit {code}\n")
    program.chmod(0o755)
    (step,) = (s for s in example("github")["jobs"]["plan"]["steps"] if s.get("id") == "plan")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=tmp_path,
        env={**environment, "GITHUB_OUTPUT": str(tmp_path / "output")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the plan\n"
    assert (done.returncode == 0) == (code != 3)
    if code != 3:
        assert (tmp_path / "output").read_text() == f"pays={code}\n"
