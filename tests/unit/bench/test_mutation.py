"""A mutant gets the tests that can notice it, and its code in place of the original's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench.mutation.find import Mutant, find_mutants
from bench.mutation.order import TestOrder, functions_of
from bench.mutation.session import replace_code

SOURCE = b'''\
"""A module."""
import functools

LIMIT = 3


def double(n, times=2):
    return n * times


class Counter:
    @functools.lru_cache
    def of(
        self, n
    ):
        return [i for i in range(n) if i > 0]

    def of_all(self, n):
        def inner():
            return super(Counter, self).__init__() or n + 1

        return inner()
'''
# The first lines of double, of and of_all, as in their code objects.
DOUBLE, OF, OF_ALL = 7, 12, 18


def mutant(text: str) -> Mutant:
    """Return the mutant whose changed line this is."""
    (found,) = (m for m in find_mutants("m.py", SOURCE) if m.shown(SOURCE) == text)
    return found


def test_a_mutant_gets_the_tests_that_call_its_function() -> None:
    """All of them if it takes effect at the import; the quick ones first."""
    notes = [("slow", 2.0, [DOUBLE, OF]), ("quick", 0.1, [OF]), ("other", 0.5, [OF_ALL])]
    order = TestOrder(functions_of(SOURCE), notes)
    lines = SOURCE.decode().splitlines()
    assert order.tests_of(lines.index("LIMIT = 3") + 1) == ["quick", "other", "slow"]
    assert order.tests_of(DOUBLE) == ["quick", "other", "slow"], "a default value"
    assert order.tests_of(DOUBLE + 1) == ["slow"]
    assert order.tests_of(OF + 4) == ["quick", "slow"]
    assert order.tests_of(OF_ALL + 2) == ["other"]
    order.note(OF + 4, "slow")
    assert order.tests_of(OF + 4) == ["slow", "quick"]
    assert order.tests_of(OF_ALL + 2) == ["other"]


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    path = tmp_path / "toy.py"
    path.write_bytes(SOURCE)
    spec = importlib.util.spec_from_file_location("toy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("return n / times", (6, [1, 2], 4), (1.5, [1, 2], 4)),
        ("return [i for i in range(n) if i >= 0]", (6, [1, 2], 4), (6, [0, 1, 2], 4)),
        ("return super(Counter, self).__init__() or n - 1", (6, [1, 2], 4), (6, [1, 2], 2)),
    ],
)
def test_the_code_of_a_function_is_replaced_where_it_is(
    module: ModuleType, text: str, before: object, after: object
) -> None:
    """Of methods, decorated and nested functions as well, and in no other function."""

    def values() -> object:
        module.Counter.of.cache_clear()
        counter = module.Counter()
        return module.double(3), counter.of(3), counter.of_all(3)

    assert values() == before
    changed = mutant(text)
    function = TestOrder(functions_of(SOURCE), []).function_of(changed.line)
    assert function is not None
    file = str(module.__file__)
    replace_code(file, function, compile(changed.applied(SOURCE), file, "exec"))
    assert values() == after
    assert "toy" not in sys.modules


def test_a_function_that_is_not_loaded_is_an_error(tmp_path: Path) -> None:
    """Otherwise its mutants would all seem to survive."""
    file = str(tmp_path / "m.py")
    function = functions_of(SOURCE)[0]
    with pytest.raises(ValueError, match="there is no function double"):
        replace_code(file, function, compile(SOURCE, file, "exec"))
