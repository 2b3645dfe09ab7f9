"""The layers of the package: a part imports only itself and parts of earlier layers."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bedrock_spark
from bedrock_spark.errors import ConfigError
from bedrock_spark.spark import session

PACKAGE = Path(bedrock_spark.__file__).parent
# The layers, from values, which import nothing, to the command line. A part is a file or folder of
# the package. It may import itself and parts of earlier layers, but no other part of its own layer.
ORDER: list[set[str]] = [
    # Values.
    {"_version", "archives", "errors", "error_page", "garbage", "limits", "clock", "progress"}
    | {"s3_spelling"},
    # Columns in Spark DDL; progress on the screen; a report as HTML; what is renewed periodically.
    {"schema", "screen", "page", "heartbeat"},
    {"templates", "shards"},  # from a row to a body; record ids, buckets, cuts
    {"config"},
    {"families"},  # request bodies and answers per model family
    {"aws", "prices"},  # one file per AWS call; list prices, and those that a run counts with
    {"storage"},
    # The state of a run, on storage; a config from a file or S3; the store of kept answers.
    {"run_folder", "config_file", "answers"},
    {"outputs", "costs"},
    {"invoke", "pairs"},
    {"fanout"},
    {"spark"},
    {"canary", "check", "model_check", "report", "fallback"},
    {
        *("publication", "submission", "run_models", "planning", "browse", "permissions"),
        "comparing",
        *("cleaning", "monitoring", "check_stages", "stopping"),
    },
    {"pipeline", "doctor", "preview"},
    {"chain", "playground"},  # a config with stages: several runs; questions asked by hand
    {"demo", "deploy", "environment", "lambda_handler", "starter", "whole_run"},
    {"ui"},  # the pages of `bedrock-spark ui`
    {"cli", "__init__"},
    {"jobs", "__main__"},  # programs of spark-submit; python -m
]
# Parts and files that need neither Spark nor AWS, so that their tests need neither.
PURE = {
    *ORDER[0],
    "schema",
    "screen",
    "page",
    "templates",
    "shards",
    "config",
    "families",
    "prices",
}
PURE_FILES = {
    "outputs/ask_again.py",
    "outputs/claims.py",
    "outputs/columns.py",
    "outputs/findings.py",
    "outputs/json_values.py",
    "outputs/judge.py",
    "outputs/output_manifest.py",
    "outputs/reasoning_tags.py",
    "outputs/shape.py",
    "outputs/lines.py",
    "outputs/outcomes.py",
    "outputs/parse.py",
    "outputs/reconcile.py",
    "outputs/record_errors.py",
    "outputs/record_outcome.py",
    "outputs/settled.py",
    "costs/burndown.py",
    "costs/tokens.py",
    "costs/token_estimate.py",
}
USE_BOTO3 = {"aws", "storage", "invoke"}
USE_EMULATOR = {"cli", "demo"}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every file of the package: its name in the package, and its path."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path


def part_of(file: str) -> str:
    """Return the part of the package that a file belongs to."""
    return file.split("/")[0].removesuffix(".py")


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return all modules that a file imports, even in functions, except under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    imported: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            imported.add(str(node.module))
            # A name may be a module: `from bedrock_spark import errors`.
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(imported)


def parts_imported_by(path: Path) -> set[str]:
    """Return the parts of this package that a file imports."""
    own = {name for name in imports_of(path) if name.startswith("bedrock_spark.")}
    return {name.split(".")[1] for name in own}


def layer_of(part: str) -> int:
    return next(i for i, layer in enumerate(ORDER) if part in layer)


def packages_imported_by(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports_of(path)}


FILES = list(modules())


def test_every_part_is_in_one_layer() -> None:
    """A new part must be added to ORDER, and a deleted one must be removed."""
    parts = {part_of(file) for file, _ in FILES}
    assert parts == set().union(*ORDER)
    assert sum(len(layer) for layer in ORDER) == len(parts)
    assert len(ORDER) == 20


# These tests look at all files at once: a test for each would take ten times as long.


def test_a_part_imports_only_parts_of_earlier_layers() -> None:
    """Or itself. Values import no logic, logic no AWS call, and AWS calls no pipeline."""
    wrong = {}
    for file, path in FILES:
        part = part_of(file)
        others = parts_imported_by(path) - {part, "__version__"}
        if file == "__init__.py":  # it exports names of other modules
            others -= {"Config"}
        wrong[file] = {other for other in others if layer_of(other) >= layer_of(part)}
    assert {file: parts for file, parts in wrong.items() if parts} == {}


# A scratch folder of a killed process is deleted by the next one; another temporary file stays.
MAKES_TEMPORARY_FILES = "storage/scratch.py"


def test_some_packages_are_imported_by_some_parts_only() -> None:
    """So a machine that only controls batch jobs needs no Spark, and scratch folders are deleted.

    Pure files import neither Spark nor AWS, so their tests need neither.
    """
    wrong = {}
    for file, path in FILES:
        part, forbidden = part_of(file), set()
        forbidden |= {"pyspark"} if part != "spark" else set()
        forbidden |= {"boto3"} if part not in USE_BOTO3 else set()
        forbidden |= {"bedrock_emulator"} if part not in USE_EMULATOR else set()
        forbidden |= {"tempfile"} if file != MAKES_TEMPORARY_FILES else set()
        if part in PURE or file in PURE_FILES:
            forbidden |= {"pyspark", "boto3", "botocore", "pyarrow", "pandas", "moto"}
        wrong[file] = packages_imported_by(path) & forbidden
    assert {file: packages for file, packages in wrong.items() if packages} == {}


def test_every_pure_file_exists() -> None:
    """If a file is moved, PURE_FILES must be changed too."""
    assert {file for file, _ in FILES} >= PURE_FILES


def test_only_the_spark_part_imports_the_spark_part_at_the_top_of_a_file() -> None:
    """Other parts import it inside the functions that need it."""
    for file, path in FILES:
        top_level = {
            name.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in node.names
        }
        if part_of(file) != "spark":
            assert not any(n.startswith("bedrock_spark.spark") for n in top_level), file


# The public names and the commands are imported when they are used.
ALL_NAMES = "import bedrock_spark; [getattr(bedrock_spark, n) for n in bedrock_spark.__all__]"
ALL_COMMANDS = "from bedrock_spark.cli import main; dict(main.commands)"


@pytest.mark.parametrize("imported", [ALL_NAMES, ALL_COMMANDS])
def test_importing_the_package_does_not_import_heavy_packages(imported: str) -> None:
    """Such as Spark, pyarrow or pandas: so each command is fast that does not need them."""
    program = f"""
import sys
{imported}
heavy = ("pyspark", "pyarrow", "pandas", "numpy", "moto", "flask", "werkzeug")
print([name for name in heavy if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (result.stderr, result.stdout.strip()) == ("", "[]")


@pytest.mark.parametrize(
    "imported",
    [
        "import bedrock_emulator.http.server",
        "import bedrock_emulator.testing",
        ALL_COMMANDS,
        ALL_NAMES,
        "import bedrock_spark.invoke.caller",
    ],
)
def test_what_needs_no_spark_runs_without_its_packages(imported: str) -> None:
    """So the local Bedrock, and machines that only submit and watch jobs, need not install them."""
    program = f"""
import sys
for name in ("pyspark", "pyarrow", "pandas", "numpy"):
    sys.modules[name] = None
{imported}
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def required(name: str, extras: AbstractSet[str], seen: set[str]) -> None:
    """Add the names of all packages that an installed package needs, with these extras."""
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        values = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is not None and not any(map(requirement.marker.evaluate, values)):
            continue
        inner = canonicalize_name(requirement.name)
        if inner not in seen or requirement.extras:
            seen.add(inner)
            required(inner, requirement.extras, seen)


def test_the_extra_emulator_brings_no_package_of_spark() -> None:
    """Neither by itself nor by what it needs: that would be two thirds of the installation."""
    seen: set[str] = set()
    required("bedrock-spark", {"emulator"}, seen)
    assert {"moto", "boto3", "hypercorn"} <= seen
    assert seen & {"pyspark", "pyarrow", "pandas", "numpy"} == set()


def test_missing_packages_of_spark_are_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None if name == "pandas" else name)
    with pytest.raises(ConfigError, match=r"^pandas is not installed.*bedrock-spark\[cluster\]"):
        session.spark_session()
