"""Run modules in a child process, and scripts in this process with its Spark session."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECONDS = 900


def run_module(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a folder, with this repository on its path; return exit code and output."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def run_script(script: Path, *arguments: str) -> int:
    """Run a script in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), *arguments])
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as exc:
            return int(exc.code or 0)
    return 0
