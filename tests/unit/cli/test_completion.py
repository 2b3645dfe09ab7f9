"""Completion, by the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bedrock_spark.cli import main
from tests.modules import ROOT

_CALL = "from bedrock_spark.cli import main; main(prog_name='bedrock-spark')"
_ASK = {
    # What the shell does when a person presses Tab at the end of WORDS.
    "bash": """
        complete() {{ :; }}; source {script}
        COMP_WORDS=({words}); COMP_CWORD=$(({number}))
        _bedrock_spark_completion bedrock-spark; printf '%s\\n' "${{COMPREPLY[@]}}"
        """,
    "fish": "source {script}; complete --do-complete '{words}' | cut -f 1",
}


def completed(shell: str, words: str, folder: Path) -> list[str]:
    """Return what a shell offers for the last of some words; an empty one is written ''."""
    program = folder / "bedrock-spark"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{_CALL}" "$@"\n')
    program.chmod(0o755)
    script = folder / "script"
    script.write_text(CliRunner().invoke(main, ["completion", shell]).stdout)
    asked = _ASK[shell].format(script=script, words=words, number=len(words.split()) - 1)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", asked],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", _ASK)
def test_a_shell_completes_commands_and_options(shell: str, tmp_path: Path) -> None:
    """By the script that `bedrock-spark completion` prints."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert completed(shell, "bedrock-spark sta", tmp_path) == ["status"]
    offered = completed(shell, "bedrock-spark results --format=csv --out", tmp_path)
    assert offered == ["--outcome", "--out"]
    assert completed(shell, "bedrock-spark deploy emr-s", tmp_path) == ["emr-serverless"]


@pytest.mark.parametrize(
    ("shell", "said"), [("zsh", "#compdef bedrock-spark"), ("fish", "function _b")]
)
def test_each_shell_has_its_script(shell: str, said: str) -> None:
    """Also those that are not installed here."""
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert done.stdout.startswith(said)
    assert "_BEDROCK_SPARK_COMPLETE" in done.stdout
