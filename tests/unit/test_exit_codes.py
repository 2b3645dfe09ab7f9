"""Exit codes: one per kind of failure, documented, and given to every error on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bedrock_spark import errors
from bedrock_spark.errors import ExitCode
from tests.unit.test_errors import TREE

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def documented() -> dict[tuple[int, str], set[str]]:
    """Return the errors of each code and kind in the table of docs/troubleshooting.md."""
    section = PAGE.read_text(encoding="utf-8").split("## Exit codes", 1)[1]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|.*\|([^|]*)\|$", section, re.MULTILINE)
    assert len(rows) == len({code for code, _, _ in rows}), "a code is documented twice"
    return {(int(code), kind): set(re.findall(r"`(\w+)`", names)) for code, kind, names in rows}


def test_the_documented_codes_are_those_of_the_code() -> None:
    """The table has each code, and the errors that end with it. No error is left out."""
    in_code: dict[tuple[int, str], set[str]]
    in_code = {(int(code), code.name.lower()): set() for code in ExitCode}
    for kind in TREE:
        in_code[int(kind.exit_code), kind.exit_code.name.lower()].add(kind.__name__)
    assert documented() == in_code


@pytest.mark.parametrize("kind", TREE)
def test_no_error_has_its_code_by_accident(kind: type[errors.BedrockSparkError]) -> None:
    """Each class says its code itself: a new one must not inherit that of another kind unseen."""
    assert "exit_code" in vars(kind)
    assert isinstance(kind.exit_code, ExitCode)


def test_an_error_never_looks_like_success() -> None:
    """Nor like another end of a command that no error brings about."""
    reserved = {ExitCode.DONE, ExitCode.USAGE, ExitCode.MORE_TO_DO}
    reserved |= {ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    assert not reserved & {kind.exit_code for kind in TREE}
