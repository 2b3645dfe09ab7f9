"""The names that users import."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module, metadata
from pathlib import Path

import pytest

import bedrock_spark


def test_these_are_the_public_names() -> None:
    """A new name is a promise, and a removed name breaks users: both are decisions."""
    assert sorted(bedrock_spark.__all__) == [
        "BedrockSparkError",
        "Comparison",
        "Config",
        "Pipeline",
        "Plan",
        "Progress",
        "Report",
        "RowsWarning",
        "__version__",
        "ask",
        "ask_config",
        "compare",
        "load_config",
        "open_results",
        "parse_config",
        "plan",
        "read_results",
        "run",
    ]
    assert all(hasattr(bedrock_spark, name) for name in bedrock_spark.__all__)


def test_each_public_name_is_that_of_its_module_and_of_the_type_checker() -> None:
    """Names are imported when they are used; type checkers read the imports beside."""
    tree = ast.parse(Path(bedrock_spark.__file__).read_text("utf-8"))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    for_types = {
        alias.name: str(node.module).removeprefix("bedrock_spark.")
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_types == bedrock_spark._MODULES
    assert {*for_types, "__version__"} == set(bedrock_spark.__all__) <= set(dir(bedrock_spark))
    for name, module in for_types.items():
        found = getattr(import_module(f"bedrock_spark.{module}"), name)
        assert getattr(bedrock_spark, name) is found
    # To a type checker, a module with this function would have any name.
    assert "__getattr__" not in [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(bedrock_spark, "".join(["no", "thing"]))


def test_the_example_in_the_docstring_uses_existing_names() -> None:
    """Every name after `bedrock_spark.` and `pipeline.`."""
    text = bedrock_spark.__doc__ or ""
    names = set(re.findall(r"bedrock_spark\.(\w+)", text))
    assert names == {"ask", "plan", "run", "Pipeline"}
    methods = set(re.findall(r"pipeline\.(\w+)\(", text))
    assert methods
    assert all(hasattr(bedrock_spark.Pipeline, name) for name in methods)


def test_the_version_is_in_one_place() -> None:
    """The package's metadata is read from it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", bedrock_spark.__version__)
    assert metadata.version("bedrock-spark") == bedrock_spark.__version__


def test_the_package_has_type_hints() -> None:
    """Without the marker file py.typed, mypy ignores the hints in users' code."""
    assert (Path(bedrock_spark.__file__).parent / "py.typed").exists()


def test_the_page_about_notebooks_names_the_arguments_of_ask() -> None:
    """All of them, and those of its example."""
    page = (Path(__file__).parents[2] / "docs" / "notebooks.md").read_text(encoding="utf-8")
    names = set(inspect.signature(bedrock_spark.ask).parameters)
    first_cells = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == names
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    calls = [node for node in ast.walk(ast.parse(example[1])) if isinstance(node, ast.Call)]
    used = {
        k.arg
        for c in calls
        if ast.unparse(c.func) in ("dict", "bedrock_spark.ask")
        for k in c.keywords
        if k.arg is not None
    }
    assert used < names
    assert {"model", "role", "run_uri", "preview"} <= used
