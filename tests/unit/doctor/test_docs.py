"""docs/doctor.md names every subject, every level and every call."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from bedrock_spark import doctor
from bedrock_spark.doctor import Level
from tests.docs import table_rows
from tests.modules import ROOT

PAGE = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
ROWS = list(table_rows(PAGE, ("subject", "what", "calls that must be allowed")))
FILES = sorted(Path(doctor.__file__).parent.glob("*.py"))


def asked() -> Iterator[str]:
    """Yield the action of every call that doctor makes."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "ask":
                constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                yield from (v for v in constants if re.fullmatch(r"[a-z0-9]+:[A-Z]\w+", str(v)))


def subjects() -> set[str]:
    """Return the subjects of all probes and findings."""
    found = set()
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'Probe\(\s*"([a-z ]+)"', text))
        found |= set(re.findall(r'yield "([a-z ]+)",', text))
    return found


def test_the_page_has_every_subject() -> None:
    assert {row[0] for row in ROWS} == subjects() | {"config"}


def test_the_page_has_every_call() -> None:
    """So that a reader knows what to allow."""
    calls = set(asked()) | {"iam:SimulatePrincipalPolicy"}
    assert len(calls) > 12
    shown = set(re.findall(r"[a-z0-9]+:[A-Z]\w+", " ".join(row[2] for row in ROWS)))
    assert shown == calls


def test_the_page_has_every_level() -> None:
    assert [row[0] for row in table_rows(PAGE, ("level", "means"))] == [*Level]
