"""Test the mutants of one module in a copy of the repository: first in forks, then by import."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.mutation.find import Mutant
from bench.mutation.order import TestOrder
from bench.mutation.session import MutantSession, limit_processor_time, wait_for

ROOT = Path(__file__).parents[2]
PACKAGE = "bedrock_spark"
# The most processor time that it takes to import and collect tests.
_IMPORT_SECONDS = 10.0
_COPIED = ("bedrock_spark", "bedrock_emulator", "tests", "bench", "docs", "conf", "pyproject.toml")


class FailureRecorder:
    """A pytest plugin: runs the given tests in the given order, and notes the first that fails."""

    def __init__(self, tests: Sequence[str], failed: Path) -> None:
        self._places = {test: place for place, test in enumerate(tests)}
        self._failed = failed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the other tests."""
        chosen = (item for item in items if item.nodeid in self._places)
        items[:] = sorted(chosen, key=lambda item: self._places[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that failed."""
        if report.failed:
            self._failed.write_text(report.nodeid)


def copy_repository(folder: Path) -> None:
    """Copy what the tests need, without compiled files: those could be of another mutant."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def survivors_of(
    module: str, mutants: Sequence[Mutant], tests: Sequence[str], copy: Path
) -> Iterator[Mutant]:
    """Yield the mutants of a module that its tests let pass.

    copy: of the repository; tests: paths below tests/unit
    Raises SystemExit if the tests fail without a change.
    """
    folder = copy.with_name(f"{copy.name}-notes")
    folder.mkdir(exist_ok=True)
    paths = [f"tests/unit/{name}" for name in tests]
    path = copy / PACKAGE / module

    def test_in_forks() -> bool:
        session = MutantSession(path, mutants, folder)
        if _pytest(copy, paths, session) is not pytest.ExitCode.OK:
            return False
        (folder / "killed.json").write_text(json.dumps(session.killed))
        return True

    if not _is_passed(test_in_forks, 24 * 3600.0):
        raise SystemExit(f"{module}: its tests fail as it is")
    killed = set(json.loads((folder / "killed.json").read_text()))
    order = TestOrder.read(path.read_bytes(), folder / "notes.json")
    for place, mutant in enumerate(mutants):
        if place not in killed and not _is_noticed(mutant, order, paths, path, folder):
            yield mutant


def _is_noticed(
    mutant: Mutant, order: TestOrder, paths: list[str], path: Path, folder: Path
) -> bool:
    """Tell whether a test fails if the changed file is imported."""
    original, failed = path.read_bytes(), folder / "failed"
    failed.unlink(missing_ok=True)
    tests = order.tests_of(mutant.line)
    if not tests:
        return False
    seconds = _IMPORT_SECONDS + sum(note[1] for note in order.notes)

    def test() -> bool:
        limit_processor_time(seconds)
        recorder = FailureRecorder(tests, failed)
        copy = path.parents[len(Path(mutant.module).parts)]
        return _pytest(copy, paths, recorder) is pytest.ExitCode.OK

    try:
        path.write_bytes(mutant.applied(original))
        is_passed = _is_passed(test, seconds)
    finally:
        path.write_bytes(original)
    if failed.exists():
        order.note(mutant.line, failed.read_text())
    return not is_passed


def _is_passed(work: Callable[[], bool], seconds: float) -> bool:
    """Do work in a new process, silently; tell whether it returned True."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return wait_for(child, seconds)


def _pytest(copy: Path, paths: list[str], plugin: object) -> int | pytest.ExitCode:
    """Run tests of a copy of the repository with a plugin."""
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    return pytest.main([*options, *paths], plugins=[plugin])
