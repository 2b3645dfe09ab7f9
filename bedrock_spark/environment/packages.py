"""Install the packages that a run needs into a folder, for another Python and another machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from bedrock_spark import error_page
from bedrock_spark.errors import EnvironmentBuildError

PACKAGE = "bedrock_spark"
# The oldest C library for which wheels are chosen. Amazon Linux 2023 (EMR 7, Glue 5) has 2.34,
# Ubuntu 20.04 has 2.31: https://github.com/pypa/manylinux#readme
_GLIBC_MINORS = range(28, 16, -1)
_OLDER_PLATFORMS = ("manylinux2014", "manylinux2010", "manylinux1")
# The demo needs the local Bedrock.
_LEFT_OUT = ("__pycache__", "demo")
# These settings would install packages elsewhere, or not at all.
_PIP_SETTINGS = ("PIP_USER", "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_REQUIRE_VIRTUALENV")


def requirements(with_pandas: bool) -> list[str]:
    """Return what a cluster needs besides Spark: the extra `cluster`, by the installed metadata.

    with_pandas: PySpark asks for pandas where it plans mapInArrow, which is the driver's side.
        Executors run it without pandas
    Raises EnvironmentBuildError if there is no such metadata, as in a zip or a bare clone.
    """
    needed = []
    try:
        lines = metadata.requires("bedrock-spark") or []
    except metadata.PackageNotFoundError:
        raise EnvironmentBuildError(
            "bedrock-spark is not installed here, so what it needs is unknown: pip install "
            "bedrock-spark, or in the clone pip install ."
        ) from None
    for line in lines:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        if marker.replace("'", '"') not in ("", 'extra == "cluster"'):
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        if name != "pandas" or with_pandas:
            needed.append(requirement)
    return needed


def install(packages: list[str], site_packages: Path, python: str, architecture: str) -> None:
    """Unpack the wheels of packages, and of what they need, into a folder. Builds nothing.

    pip evaluates conditions such as `python_version < "3.12"` for the Python that runs it: none of
    our packages needs others on Python 3.11 and newer.
    Raises EnvironmentBuildError if there is no pip, as in environments of uv, or it fails.
    """
    if find_spec("pip") is None:
        raise EnvironmentBuildError(
            f"{sys.executable} has no pip, which downloads the packages: python -m ensurepip, or "
            "uv pip install pip"
        )
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in _GLIBC_MINORS]
    platforms += [f"{name}_{architecture}" for name in _OLDER_PLATFORMS]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={python}", *(f"--platform={name}" for name in platforms)]
    command += [f"--target={site_packages}", "--no-warn-conflicts", *packages]
    environment = {k: v for k, v in os.environ.items() if k not in _PIP_SETTINGS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
        raise EnvironmentBuildError(
            f"pip cannot install the packages for Python {python} on {architecture}: "
            f"{' '.join(errors) or f'it ended with exit code {done.returncode}'}"
        )


def copy_package(folder: Path) -> None:
    """Copy this package, but not the demo, into a folder: code, templates and data."""
    _copy(resources.files(PACKAGE), folder / PACKAGE)
    (folder / PACKAGE / error_page.FILE).write_text(error_page.error_page(), encoding="utf-8")


def _copy(source: Traversable, target: Path) -> None:
    if source.is_dir():
        target.mkdir()
        for child in source.iterdir():
            if child.name not in _LEFT_OUT:
                _copy(child, target / child.name)
    else:
        target.write_bytes(source.read_bytes())
