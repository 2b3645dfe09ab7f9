"""The stacks of platforms, resolved against what this project declares; the docs say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STACKS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "data" / "platform_stacks.yaml").read_text(encoding="utf-8")
)
NAMES = [stack["name"] for stack in STACKS]
DOC = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")


def needed() -> dict[str, SpecifierSet]:
    """Return what a cluster needs besides Spark, by name."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cluster"]]
    return {r.name: r.specifier for r in map(Requirement, lines)}


def resolved(stack: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Return the packages that a stack has, those that pip replaces and those that it adds."""
    kept, replaced, added = [], [], []
    for name, specifier in needed().items():
        version = stack["packages"].get(name)
        if version is None:
            added.append(name)
        elif str(version) in specifier:
            kept.append(name)
        else:
            replaced.append(name)
    return kept, replaced, added


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table below a heading of docs/platforms.md, by its first column."""
    section = DOC.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]
    return {cells[0]: cells[1:] for cells in (line.split(" | ") for line in lines)}


@pytest.mark.parametrize("stack", STACKS, ids=NAMES)
def test_the_docs_have_every_stack(stack: dict[str, Any]) -> None:
    """With its versions, and whether a Python is there that this package runs on."""
    pythons, spark, source = rows("Python and Spark")[stack["name"]]
    runs = [v for v in stack["python"] if v in SpecifierSet(PROJECT["requires-python"])]
    others = [v for v in stack["python"] if v not in runs]
    shown = [*others, *(f"**{v}**" for v in runs)]
    assert pythons == ", ".join(shown)
    assert spark == (stack["spark"] or "not found")
    assert f"({stack['source']})" in source
    assert runs or stack["name"] == "EMR 7.0"


@pytest.mark.parametrize("stack", STACKS, ids=NAMES)
def test_the_spark_of_every_stack_is_supported(stack: dict[str, Any]) -> None:
    """The extra `spark` says which version of 3.5 is the lowest that is tested."""
    assert stack["spark"] is None or stack["spark"] in SpecifierSet(">=3.5,<5")


@pytest.mark.parametrize(
    "stack",
    [s for s in STACKS if s["packages"] is not None],
    ids=[s["name"] for s in STACKS if s["packages"] is not None],
)
def test_the_docs_say_what_pip_does(stack: dict[str, Any]) -> None:
    """Which packages it leaves alone, which it replaces by another version, which it adds."""
    kept, replaced, added = resolved(stack)
    old = [f"{name} {stack['packages'][name]}" for name in replaced]
    assert rows("What pip does there")[stack["name"]] == [
        ", ".join(f"{name} {stack['packages'][name]}" for name in kept),
        ", ".join(old),
        ", ".join(added),
    ]


def test_only_the_stacks_without_a_list_are_not_resolved() -> None:
    """A platform whose packages are published may not be left out."""
    assert set(rows("What pip does there")) == {
        s["name"] for s in STACKS if s["packages"] is not None
    }
