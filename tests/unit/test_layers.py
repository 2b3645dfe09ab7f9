"""The layers: an import only ever points to the same layer or a lower one."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bedrock_spark

PACKAGE = Path(bedrock_spark.__file__).parent
# From the values, which import nothing, to the faces, which import everything.
LAYERS: list[set[str]] = [
    {"_version", "errors", "limits", "clock", "progress", "layout", "config"}
    | {"ddl", "result_columns"},
    {
        *("record_ids", "templates", "families", "planning", "cutting", "requests", "outputs"),
        *("reconcile", "retry", "aws_errors", "lint", "values", "lookups", "expressions"),
        "media",
        *("shard_lines", "quotes", "record_buckets"),
        *("costs", "parsing"),
    },
    {
        *("clients", "storage", "manifest", "run_folder", "batch_jobs", "ledger"),
        *("lease", "quotas"),
        *("provisioned", "model_family", "rate_limit", "invoke", "canary_file"),
        *("bought_model", "invoke_options", "token_estimate", "rate_shares", "answer_files"),
        "repeating",
        *("stream", "served_family", "find_record"),
        *("s3_objects", "prefetch"),
        *("shard_outputs", "answer_images"),
    },
    {"spark"},
    {"fanout", "canary", "budget", "stragglers", "report", "pipeline", "api"},
    {"cli", "demo", "__init__"},
]


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


def layer_of(part: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


FILES = list(modules())


def test_every_module_has_its_layer() -> None:
    """A new one must be put into the list, and what is gone taken out of it."""
    parts = {part_of(file) for file, _ in FILES}
    assert parts == set().union(*LAYERS)
    assert sum(len(layer) for layer in LAYERS) == len(set().union(*LAYERS))


@pytest.mark.parametrize(("file", "path"), FILES, ids=[file for file, _ in FILES])
def test_no_import_points_towards_the_faces(file: str, path: Path) -> None:
    """Values know no logic, logic knows nothing of the world, the world nothing of a pipeline."""
    part = part_of(file)
    if file == "__init__.py":
        return
    own = own_imports(path) - {"__version__"}
    above = {other for other in own if layer_of(other) > layer_of(part)}
    assert above == set()
    if layer_of(part) < len(LAYERS) - 1:
        assert not any(name.startswith("bedrock_emulator") for name in imports_of(path))


PURE = [(f, p) for f, p in FILES if part_of(f) in LAYERS[0] | LAYERS[1]]


@pytest.mark.parametrize(("file", "path"), PURE, ids=[file for file, _ in PURE])
def test_values_and_logic_know_neither_spark_nor_aws(file: str, path: Path) -> None:
    """So that their tests need nothing; aws_errors knows the errors of botocore, and no client."""
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & {"pyspark", "boto3", "pyarrow", "pandas", "moto"}
    if file == "aws_errors.py":
        names = {name for name in imports_of(path) if name.startswith("botocore")}
        assert all(n.startswith(("botocore.exceptions", "botocore.parsers")) for n in names)
    else:
        assert "botocore" not in roots


def test_only_the_spark_side_imports_spark_when_it_is_imported() -> None:
    """A machine that only drives the batch jobs has none."""
    for file, path in FILES:
        at_the_top = {
            name.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in node.names
        }
        if part_of(file) != "spark":
            assert not any(n.split(".")[0] == "pyspark" for n in at_the_top), file
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
