"""Which tests a mutant of a module gets, and in which order.

A test that never calls the function of a mutant cannot notice it. So the tests of a module run once
without a change, and each notes the functions that it called (`CallRecorder`). A mutant outside of
functions takes effect at the import and gets all tests.
"""

from __future__ import annotations

import ast
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

Note = tuple[str, float, list[int]]


class CallRecorder:
    """A pytest plugin: notes for each test the first lines of the functions that it called.

    module: the file whose functions count
    notes: [(test, seconds, [line, …]), …]
    """

    def __init__(self, module: Path) -> None:
        self._module = str(module)
        self._lines: set[int] = set()
        self.notes: list[Note] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Run a test, with its fixtures, under a trace function."""
        self._lines, began = set(), time.monotonic()
        sys.settrace(self._trace)
        threading.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            seconds = time.monotonic() - began
            self.notes.append((item.nodeid, seconds, sorted(self._lines)))

    def _trace(self, frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_filename == self._module:
            self._lines.add(frame.f_code.co_firstlineno)


@dataclass(frozen=True)
class Function:
    """An outermost function or method of a module.

    first, last: its lines; with decorators, the first line is that of the first decorator
    body: the first line of its body
    """

    name: str
    first: int
    body: int
    last: int


def functions_of(source: bytes) -> list[Function]:
    """Return the outermost functions of a module."""
    return list(_functions(ast.parse(source)))


def _functions(node: ast.AST) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            assert child.end_lineno is not None
            yield Function(child.name, first, child.body[0].lineno, child.end_lineno)
        else:
            yield from _functions(child)


@dataclass
class TestOrder:
    """The tests of one module, by function. It learns which of them notice a mutant."""

    __test__ = False
    functions: list[Function]
    notes: list[Note]
    _kills: dict[Function | None, Counter[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, source: bytes, notes: Path) -> TestOrder:
        """Return the order that a CallRecorder's notes give, which are in a file as JSON."""
        return cls(functions_of(source), json.loads(notes.read_text()))

    def function_of(self, line: int) -> Function | None:
        """Return the function whose body has this line; None if it is executed at the import."""
        return next((f for f in self.functions if f.body <= line <= f.last), None)

    def tests_of(self, line: int) -> list[str]:
        """Return the tests that can notice a change of this line, the likeliest one first."""
        function = self.function_of(line)
        quick_first = sorted(self.notes, key=lambda note: note[1])
        tests = [test for test, _, lines in quick_first if _is_called(function, lines)]
        kills = self._kills.get(function, Counter())
        return sorted(tests, key=lambda test: -kills[test])

    def note(self, line: int, test: str) -> None:
        """Note that a test noticed a change of this line."""
        self._kills.setdefault(self.function_of(line), Counter())[test] += 1


def _is_called(function: Function | None, lines: list[int]) -> bool:
    return function is None or any(function.first <= line <= function.last for line in lines)
