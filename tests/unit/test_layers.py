"""The order of layers: an import only ever points to an earlier step, or to its own part."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bedrock_spark

PACKAGE = Path(bedrock_spark.__file__).parent
# From the values, which import nothing, to the command line. A part may import only parts of the
# steps before its own, and itself: no import goes sideways, and none goes back up.
ORDER: list[set[str]] = [
    {"_version", "errors", "limits", "clock", "progress"},  # values
    {"schema"},  # columns in Spark DDL, the result columns
    {"templates", "shards"},  # how a row becomes a body; ids, buckets, cuts
    {"config"},
    {"families"},  # request bodies and answers per model family
    {"aws"},  # one AWS call a file
    {"storage"},
    {"run_folder"},  # what a run knows, durable
    {"outputs", "costs"},
    {"invoke"},
    {"fanout"},
    {"spark"},
    {"canary", "report", "fallback"},
    {"pipeline"},
    {"demo"},
    {"cli", "__init__"},
]
# What needs neither Spark nor AWS, so that its tests need nothing.
PURE = {*ORDER[0], "schema", "templates", "shards", "config", "families"}
PURE_FILES = {
    "outputs/lines.py",
    "outputs/parse.py",
    "outputs/reconcile.py",
    "costs/tokens.py",
    "costs/token_estimate.py",
}
USE_BOTO3 = {"aws", "storage", "invoke"}
USE_EMULATOR = {"cli", "demo"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path


def part_of(file: str) -> str:
    """Give the part of the package that a file belongs to."""
    return file.split("/")[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Give every module that a file imports, wherever in it; those for types alone are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            # `from bedrock_spark import layout` imports a module; from others, only names.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """Give the parts of this package that a file imports."""
    deep = {name for name in imports_of(path) if name.startswith("bedrock_spark.")}
    return {name.split(".")[1] for name in deep}


def step_of(part: str) -> int:
    return next(i for i, step in enumerate(ORDER) if part in step)


def roots(path: Path) -> set[str]:
    """Give the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports_of(path)}


FILES = list(modules())
IDS = [file for file, _ in FILES]


def test_every_part_has_its_step() -> None:
    """A new part must be put into the order, and one that is gone taken out of it."""
    parts = {part_of(file) for file, _ in FILES}
    assert parts == set().union(*ORDER)
    assert sum(len(step) for step in ORDER) == len(parts)
    assert len(ORDER) == 16


@pytest.mark.parametrize(("file", "path"), FILES, ids=IDS)
def test_a_part_imports_only_what_comes_before_it(file: str, path: Path) -> None:
    """Values know no logic, logic knows nothing of the world, the world nothing of a pipeline."""
    part = part_of(file)
    own = own_imports(path) - {part, "__version__"}
    if file == "__init__.py":  # the face hands names on
        own -= {"Config"}
    assert {other for other in own if step_of(other) >= step_of(part)} == set()


@pytest.mark.parametrize(("file", "path"), FILES, ids=IDS)
def test_spark_aws_and_the_emulator_are_imported_in_few_rooms(file: str, path: Path) -> None:
    """So one knows where to look, and a machine that only drives batch jobs needs no Spark."""
    part, used = part_of(file), roots(path)
    assert part == "spark" or "pyspark" not in used
    assert part in USE_BOTO3 or "boto3" not in used
    assert part in USE_EMULATOR or "bedrock_emulator" not in used


PURE_CASES = [(f, p) for f, p in FILES if part_of(f) in PURE or f in PURE_FILES]


@pytest.mark.parametrize(("file", "path"), PURE_CASES, ids=[file for file, _ in PURE_CASES])
def test_values_and_logic_know_neither_spark_nor_aws(file: str, path: Path) -> None:
    """So that their tests need nothing."""
    foreign = {"pyspark", "boto3", "botocore", "pyarrow", "pandas", "moto"}
    assert not roots(path) & foreign


def test_the_list_of_pure_files_is_of_files() -> None:
    """A file that moved is moved there, too."""
    assert set(IDS) >= PURE_FILES


def test_only_the_spark_side_imports_spark_when_it_is_imported() -> None:
    """Others import it inside the functions that need it."""
    for file, path in FILES:
        at_the_top = {
            name.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in node.names
        }
        if part_of(file) != "spark":
            assert not any(n.startswith("bedrock_spark.spark") for n in at_the_top), file


@pytest.mark.parametrize("module", ["bedrock_spark", "bedrock_spark.cli"])
def test_importing_does_not_import_spark(module: str) -> None:
    """Nor pyarrow, pandas or the local Bedrock: `bedrock-spark --help` is quick."""
    program = f"""
import sys, {module}
heavy = ("pyspark", "pyarrow", "pandas", "numpy", "moto", "flask", "werkzeug")
print([name for name in heavy if name in sys.modules])
"""
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (shown.stderr, shown.stdout.strip()) == ("", "[]")
