"""The mutation tester changes one thing at a time, and every mutant is a program."""

from __future__ import annotations

import ast

import pytest

from bench.mutants import MODULES
from bench.mutation.find import find_mutants
from bench.mutation.testers import PACKAGE, ROOT


def mutants_of(source: str) -> set[str]:
    """Return the changed lines of all mutants of a source."""
    data = f"{source}\n".encode()
    return {mutant.shown(data) for mutant in find_mutants("m.py", data)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("(a + b) == c", {"(a - b) == c", "(a + b) != c"}),
        ("x = a and (b or c)", {"x = a or (b or c)", "x = a and (b and c)"}),
        ("x = 3", {"x = (3 + 1)", "x = (3 - 1)"}),
        ("x = True", {"x = False"}),
        ("x = a if é else b", {"x = a if (not (é)) else b"}),
        ("[a for a in b if c]", {"[a for a in b if (not (c))]"}),
        ("f(1)", {"pass", "f((1 + 1))", "f((1 - 1))"}),
        ("raise E('x')", {"pass"}),
        ("log.info('%d', 3)", set()),
        ("class A(B, frozen=True):\n    x: int = 0", {"x: int = (0 + 1)"}),
        ("x = f'{1:>3}'", set()),
    ],
)
def test_a_mutant_changes_one_thing(source: str, expected: set[str]) -> None:
    assert mutants_of(source) == expected


@pytest.mark.parametrize("module", MODULES)
def test_every_mutant_of_a_module_can_be_compiled(module: str) -> None:
    """And its tests exist: a module that was renamed must be renamed here, too."""
    source = (ROOT / PACKAGE / module).read_bytes()
    mutants = find_mutants(module, source)
    assert len(mutants) > 10
    for mutant in mutants:
        ast.parse(mutant.applied(source))
        assert mutant.applied(source) != source
    for tests in MODULES[module]:
        assert (ROOT / "tests" / "unit" / tests).exists()
