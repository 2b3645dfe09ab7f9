"""The environment of executors: this package and what it needs, packed for `--archives`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.modules import ROOT

_CACHE = ROOT / ".cluster"


def packed_environment() -> Path:
    """Return an archive with this package, for this Python; make it if the code has changed."""
    digest = hashlib.sha256(sys.version.encode())
    for file in [ROOT / "pyproject.toml", *sorted((ROOT / "bedrock_spark").rglob("*.py"))]:
        digest.update(file.read_bytes())
    archive = _CACHE / f"environment-{digest.hexdigest()[:16]}.tar.gz"
    if not archive.exists():
        venv = _CACHE / f"venv-{sys.version_info[0]}{sys.version_info[1]}"
        _run(str(getattr(sys, "_base_executable", sys.executable)), "-I", "-m", "venv", str(venv))
        python = str(venv / "bin/python")
        _run(python, "-m", "pip", "install", "--quiet", f"{ROOT}[cluster]", "venv-pack",
             "setuptools<81")  # fmt: skip
        _run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(ROOT))
        made = archive.with_suffix(".part")
        _run(python, "-m", "venv_pack", "-p", str(venv), "-o", str(made), "--format", "tar.gz",
             "--compress-level", "1", "--force")  # fmt: skip
        made.rename(archive)
    return archive


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT, timeout=900)
