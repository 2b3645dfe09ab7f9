"""Which tests a mutant of a module gets, and in which order.

A test that never calls the function of a mutant cannot notice it. So the tests of a module run once
without a change, and each notes the functions that it called (`CallRecorder`). A mutant outside of
functions takes effect at the import and gets all tests.
"""

from __future__ import annotations

import ast
import contextlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


class CallRecorder:
    """A pytest plugin: notes for each test the first lines of the functions that it called.

    module: the file whose functions count
    found: where the notes are written, as JSON: [[test, seconds, [line, …]], …]
    """

    def __init__(self, module: Path, found: Path) -> None:
        self._module = str(module)
        self._found = found
        self._lines: set[int] = set()
        self._notes: list[tuple[str, float, list[int]]] = []

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
            self._notes.append((item.nodeid, seconds, sorted(self._lines)))

    def pytest_sessionfinish(self) -> None:
        """Write the notes."""
        self._found.write_text(json.dumps(self._notes))

    def _trace(self, frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_filename == self._module:
            self._lines.add(frame.f_code.co_firstlineno)


class FailureRecorder:
    """A pytest plugin: runs the given tests in the given order, and notes the first that fails."""

    def __init__(self, tests: list[str], failed: Path) -> None:
        self._places = {test: place for place, test in enumerate(tests)}
        self._failed = failed
        failed.unlink(missing_ok=True)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the other tests."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places),
            key=lambda item: self._places[item.nodeid],
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that failed."""
        if report.failed:
            self._failed.write_text(report.nodeid)


class TestOrder:
    """The tests of one module, by function."""

    __test__ = False

    def __init__(self, source: bytes, notes: list[tuple[str, float, list[int]]]) -> None:
        self._functions = list(_functions(ast.parse(source)))
        self._notes = sorted(notes, key=lambda note: note[1])
        self._kills: dict[tuple[int, int] | None, Counter[str]] = {}

    @classmethod
    def read(cls, source: bytes, found: Path) -> TestOrder:
        """Return the order that a CallRecorder's notes give."""
        return cls(source, json.loads(found.read_text()))

    def tests_of(self, line: int) -> list[str]:
        """Return the tests that can notice a change of this line."""
        function = self._function(line)
        tests = [
            test
            for test, _, lines in self._notes
            if function is None or any(function[0] <= each <= function[1] for each in lines)
        ]
        kills = self._kills.get(function, Counter())
        return sorted(tests, key=lambda test: -kills[test])

    def note(self, line: int, failed: Path) -> None:
        """Note the test that noticed a change of this line, if one did."""
        with contextlib.suppress(FileNotFoundError):
            self._kills.setdefault(self._function(line), Counter())[failed.read_text()] += 1

    def _function(self, line: int) -> tuple[int, int] | None:
        """Return the first and the last line of the outermost function whose body has the line."""
        for first, body, last in self._functions:
            if body <= line <= last:
                return first, last
        return None


def _functions(node: ast.AST) -> Iterator[tuple[int, int, int]]:
    """Yield each outermost function: the first line, the first of its body, and the last.

    The first line of a function with decorators is the one of the first decorator, as in its code.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            assert child.end_lineno is not None
            yield first, child.body[0].lineno, child.end_lineno
        else:
            yield from _functions(child)
