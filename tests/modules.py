"""Run a module of the tests in a process of its own: another session, or another driver."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 900


def run_module(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a folder, with what this repository imports; return what it said."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
