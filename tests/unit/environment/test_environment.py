"""The archive of packages and the zip, without pip and without network."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

import bedrock_spark
from bedrock_spark.cli import main
from bedrock_spark.environment import archive, build_environment, build_py_files, packages
from bedrock_spark.environment.trim import AWS_SERVICES, trim
from bedrock_spark.errors import EnvironmentBuildError, ExitCode
from tests.archives import unpack

PYTHON = "{}.{}".format(*sys.version_info)
BASE = str(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str, str]]:
    """Instead of what pip installs, a module `installed` is there. Return the calls."""
    calls: list[tuple[list[str], str, str]] = []

    def install(wanted: list[str], folder: Path, python: str, machine: str) -> None:
        calls.append((wanted, python, machine))
        (folder / "installed.py").write_text("WHERE = __file__\n")

    monkeypatch.setattr(archive, "install", install)
    return calls


def test_the_launcher_finds_a_python_and_the_packages(
    no_pip: list[tuple[list[str], str, str]], tmp_path: Path
) -> None:
    """Wherever it is unpacked, with no variable set; a child of that Python has them, too."""
    built = build_environment(tmp_path / "dist", PYTHON, "amd64")
    assert built.path.name == f"environment-{PYTHON}-x86_64.tar.gz"
    folder = unpack(built.path, tmp_path / "a b")
    child = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-I', '-c', "
    child += "'import installed; print(installed.WHERE)']))"
    done = subprocess.run(
        ["./bin/python", "-c", child],
        cwd=folder,
        env={"BEDROCK_SPARK_PYTHON": BASE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == f"{folder}/lib/python{PYTHON}/site-packages/installed.py"


def test_the_launcher_says_what_is_missing(
    no_pip: list[tuple[list[str], str, str]], tmp_path: Path
) -> None:
    """It takes no other version, and no name without a Python behind it."""
    folder = unpack(build_environment(tmp_path, "3.99", "x86_64").path, tmp_path / "a")
    done = subprocess.run(
        ["./bin/python", "-V"],
        cwd=folder,
        env={"BEDROCK_SPARK_PYTHON": BASE, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 127
    assert done.stderr.startswith("error: no Python 3.99 on ")
    assert BASE in done.stderr


def test_the_same_packages_give_the_same_bytes(
    no_pip: list[tuple[list[str], str, str]], tmp_path: Path
) -> None:
    """So an archive in S3 changes only with its content; no path of this machine is in it."""
    first, second = (build_environment(tmp_path / n, "3.12", "arm64").path for n in ("a", "b"))
    assert (
        hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    )
    with tarfile.open(first) as tar:
        assert {m.uid for m in tar.getmembers()} == {0}
        launcher = tar.extractfile("bin/python")
        assert launcher is not None
        assert sys.prefix.encode() not in launcher.read()
    assert [call[1:] for call in no_pip] == [("3.12", "aarch64")] * 2


@pytest.mark.parametrize("version", ["3.10", "3", "three", "3.11.2", "2.7"])
def test_a_python_that_is_too_old_is_refused(version: str, tmp_path: Path) -> None:
    """Before anything is downloaded."""
    done = CliRunner().invoke(main, ["environment", "--python", version, "--out", str(tmp_path)])
    assert done.exit_code == ExitCode.FAILED
    assert "runs on Python 3.11 and newer" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_gets_no_spark_and_no_emulator() -> None:
    """It has its own Spark. Executors need no pandas."""
    names = {r.partition("<")[0].partition(">")[0] for r in packages.requirements(True)}
    assert {"boto3", "pandas", "pyarrow", "pydantic"} <= names
    assert not {"pyspark", "moto", "flask", "hypercorn", "pytest"} & names
    without = {r.partition("<")[0].partition(">")[0] for r in packages.requirements(False)}
    assert names - without == {"pandas"}


def test_an_error_of_pip_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says for which Python and which machine."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(EnvironmentBuildError, match=r"for Python 3\.11 on x86_64: ERROR: ") as exc:
        packages.install(["no-such-package-of-ours"], tmp_path, "3.11", "x86_64")
    assert "\n" not in str(exc.value)


def test_every_service_of_the_package_is_kept() -> None:
    """A client of a service whose model was left out would fail on the cluster only."""
    root = Path(bedrock_spark.__file__).parent
    called: set[str] = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("client"):
                called |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}
    assert {"s3", "bedrock-runtime"} < called
    assert called <= set(AWS_SERVICES)


def test_a_library_that_another_needs_is_kept(tmp_path: Path) -> None:
    """Which ones are needed changes with the version of pyarrow."""
    arrow = tmp_path / "pyarrow"
    (arrow / "tests").mkdir(parents=True)
    (arrow / "lib.so").write_bytes(b"ELF libarrow_substrait.so.26\0")
    (arrow / "libarrow_substrait.so.26").write_bytes(b"ELF libarrow_flight.so.26\0")
    (arrow / "libarrow_flight.so.26").write_bytes(b"ELF")
    (arrow / "libarrow_flight.so.26.1").write_bytes(b"ELF")
    for service in ("s3", "ec2"):
        (tmp_path / "botocore" / "data" / service).mkdir(parents=True)
    trim(tmp_path)
    assert sorted(path.name for path in arrow.iterdir()) == [
        *("lib.so", "libarrow_flight.so.26", "libarrow_substrait.so.26"),
    ]
    assert [path.name for path in (tmp_path / "botocore" / "data").iterdir()] == ["s3"]


# Reads the data files, and every module but those that need Spark: that is the driver's.
_FROM_ZIP = """
import importlib, pkgutil, sys
sys.path += sys.argv[1:]
import bedrock_spark
assert ".zip/" in bedrock_spark.__file__, bedrock_spark.__file__
names = [m.name for m in pkgutil.walk_packages(bedrock_spark.__path__, "bedrock_spark.")]
assert len(names) > 200
for name in names:
    importlib.import_module(name)
from bedrock_spark.prices.table import price_table
assert price_table().rows
from importlib import resources
from bedrock_spark.spark.session import _LOG_CONFIG
assert resources.files("bedrock_spark.spark").joinpath(_LOG_CONFIG).read_text()
from bedrock_spark.spark.local.s3a import boto3_credentials
from pathlib import Path
boto3_credentials("3.4.1", Path.cwd())
compile(Path("credential_process.py").read_text(), "credential_process.py", "exec")
print("all")
"""


def test_the_zip_for_py_files_works(tmp_path: Path) -> None:
    """All modules are imported, and all data is read, from the zip."""
    built = build_py_files(tmp_path)
    assert built.path.name == f"bedrock_spark-{bedrock_spark.__version__}.zip"
    spec = find_spec("boto3")
    assert spec is not None
    assert spec.origin is not None
    done = subprocess.run(
        [BASE, "-S", "-P", "-c", _FROM_ZIP, str(Path(spec.origin).parents[1])],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(built.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "all\n")


def test_every_file_of_the_package_that_is_read_is_read_as_a_resource() -> None:
    """A path beside a module does not exist if the package is in a zip. The demo is in no zip."""
    root = Path(bedrock_spark.__file__).parent
    files = {path.relative_to(root): path.read_text("utf-8") for path in root.rglob("*.py")}
    named = {str(name) for name, text in files.items() if "__file__" in text}
    # The command jobs-path prints a path for spark-submit.
    assert {name for name in named if not name.startswith("demo/")} == {"cli/jobs_path.py"}


def test_what_is_missing_on_this_machine_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A clone or a zip has no metadata, and an environment of uv has no pip."""
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentBuildError, match="has no pip"):
        packages.install(["x"], tmp_path, PYTHON, "x86_64")

    def requires(name: str) -> list[str]:
        raise packages.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", requires)
    with pytest.raises(EnvironmentBuildError, match="is not installed here"):
        build_environment(tmp_path, PYTHON, "x86_64")
