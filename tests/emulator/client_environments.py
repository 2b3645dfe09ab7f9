"""Real clients of other languages and packages, installed when a test first needs them.

They are folders `.venv-client-<name>` in the repository's root (20 to 400 MB each). Later runs
use them again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def _project() -> list[str]:
    """Return what this package needs, which such a client imports from the repository."""
    values = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(values["project"]["dependencies"])


_PYTHON = {
    "awscli": ["awscli>=1.42"],
    "airflow": ["apache-airflow>=3.0", "apache-airflow-providers-amazon>=9.6"],
    "databricks": ["databricks-bundles>=0.260", "pyyaml>=6"],
    "prefect": ["prefect>=3.4,<4", *_project()],
    "dagster": ["dagster>=1.11,<2", *_project()],
}
_NPM = ("client-bedrock", "client-bedrock-runtime", "client-s3")


def environment(name: str) -> Path:
    """Return the `bin` folder of a Python client's environment; create it if needed."""

    def install(home: Path) -> None:
        venv.create(home, with_pip=True, clear=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *_PYTHON[name]], check=True)

    return _installed(name, install) / "bin"


def javascript() -> Path:
    """Return a folder from which Node finds AWS's SDK; install the SDK if needed."""

    def install(home: Path) -> None:
        (home / "package.json").write_text('{"type": "module", "private": true}')
        packages = [f"@aws-sdk/{name}" for name in _NPM]
        subprocess.run(["npm", "install", "--silent", "--no-fund", *packages], cwd=home, check=True)

    return _installed("javascript", install)


def asl_validator() -> Path:
    """Return the program that validates state machines; install it if needed. It runs on Node."""

    def install(home: Path) -> None:
        command = ["npm", "install", "--silent", "--no-fund", "asl-validator@4"]
        (home / "package.json").write_text('{"private": true}')
        subprocess.run(command, cwd=home, check=True)

    return _installed("asl", install) / "node_modules" / ".bin" / "asl-validator"


def java(program: str) -> list[str]:
    """Return the command of a Java program, compiled with AWS's SDK."""
    home = _installed("java", lambda home: None)
    pom = Path(__file__).with_name("java_client.xml").read_text()
    compiled, sources = home / "compiled.txt", home / "src" / "main" / "java"
    if not compiled.exists() or compiled.read_text() != pom + program:
        sources.mkdir(parents=True, exist_ok=True)
        (home / "pom.xml").write_text(pom)
        (sources / "Example.java").write_text(program)
        goals = ["compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath.txt"]
        repository = f"-Dmaven.repo.local={home / 'repository'}"
        subprocess.run(["mvn", "-q", "-B", repository, *goals], cwd=home, check=True)
        compiled.write_text(pom + program)
    classpath = f"{home / 'target' / 'classes'}:{(home / 'classpath.txt').read_text().strip()}"
    return ["java", "-cp", classpath, "Example"]


def go(program: str) -> Path:
    """Return a Go program, built with AWS's SDK."""

    def install(home: Path) -> None:
        (home / "main.go").write_text(program)
        for command in (["mod", "init", "example"], ["mod", "tidy"], ["build", "-o", "example"]):
            subprocess.run(["go", *command], cwd=home, check=True, env=_go_environment())

    home = _installed("go", install)
    if (home / "main.go").read_text() != program:
        (home / "main.go").write_text(program)
        build = ["go", "build", "-o", "example"]
        subprocess.run(build, cwd=home, check=True, env=_go_environment())
    return home / "example"


def _go_environment() -> dict[str, str]:
    return {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}


def _installed(name: str, install: Callable[[Path], None]) -> Path:
    home = _ROOT / f".venv-client-{name}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        install(home)
        (home / "complete").touch()
    return home
