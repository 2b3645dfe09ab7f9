"""Test mutants in forks of one pytest session, whose tests are imported and collected already.

A mutant of a function needs no new import: the code of the function is replaced in the fork. That
takes milliseconds, where a new process takes seconds. What it cannot see are calls at the import;
so a mutant that survives here is tested once more in a process that imports the changed file.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from bench.mutation.find import Mutant
from bench.mutation.order import CallRecorder, Function, Note, TestOrder, functions_of

# A fork that uses this many times the processor time of all tests of the module hangs; and one that
# takes this many seconds, too: it waits for something.
_TIMES, _LEAST_SECONDS, _WALL_SECONDS = 3, 2, 180.0


class MutantSession:
    """A pytest plugin that runs the collected tests once for each mutant instead of once.

    module: the file in the copy of the repository
    killed: the places, in `mutants`, of those that a test noticed
    notes: of a CallRecorder, from the run without a change; none if its tests fail
    """

    def __init__(self, module: Path, mutants: Sequence[Mutant], folder: Path) -> None:
        self._module = module
        self._source = module.read_bytes()
        self._mutants = mutants
        self._folder = folder
        self._seconds = 0.0
        self.killed: list[int] = []
        self.notes: list[Note] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn which tests call which functions, then test the mutants in functions."""
        items = {item.nodeid: item for item in session.items}
        notes = self._folder / "notes.json"
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        if not wait_for(_forked(lambda: self._learn(session, notes)), None):
            raise pytest.UsageError("the tests fail as they are")
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._seconds = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
        order = TestOrder(functions_of(self._source), json.loads(notes.read_text()))
        failed = self._folder / "failed"
        for place, mutant in enumerate(self._mutants):
            function = order.function_of(mutant.line)
            if function is None:
                continue
            tests = [items[test] for test in order.tests_of(mutant.line) if test in items]
            failed.unlink(missing_ok=True)
            child = _forked(lambda: self._test(session, mutant, function, tests, failed))  # noqa: B023
            if not wait_for(child, self._seconds):
                self.killed.append(place)
                if failed.exists():
                    order.note(mutant.line, failed.read_text())
        self.notes = order.notes
        return True

    def _learn(self, session: pytest.Session, notes: Path) -> bool:
        recorder = CallRecorder(self._module)
        session.config.pluginmanager.register(recorder)
        is_passed = _run(session, session.items) is None
        notes.write_text(json.dumps(recorder.notes))
        return is_passed

    def _test(
        self,
        session: pytest.Session,
        mutant: Mutant,
        function: Function,
        tests: Sequence[pytest.Item],
        failed: Path,
    ) -> bool:
        limit_processor_time(self._seconds)
        changed = compile(mutant.applied(self._source), str(self._module), "exec")
        replace_code(str(self._module), function, changed)
        test = _run(session, tests)
        if test is not None:
            failed.write_text(test)
        return test is None


def replace_code(file: str, function: Function, changed: CodeType) -> None:
    """Replace the code of a function of a file by that of the changed file.

    Raises ValueError if the function does not exist or cannot be changed in place.
    """

    def is_it(code: CodeType) -> bool:
        return (code.co_name, code.co_firstlineno) == (function.name, function.first)

    (new,) = (code for code in _codes(changed) if is_it(code))
    found = [
        each
        for each in gc.get_objects()
        if isinstance(each, FunctionType)
        and each.__code__.co_filename == file
        and is_it(each.__code__)
    ]
    if not found:
        raise ValueError(f"{file}: there is no function {function.name}")
    for each in found:
        each.__code__ = new


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _run(session: pytest.Session, tests: Sequence[pytest.Item]) -> str | None:
    """Run tests until one fails; return that one."""
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        if session.testsfailed:
            return test.nodeid
    return None


def _forked(work: Callable[[], bool]) -> int:
    """Do work in a new process, which ends with 0 if it returns True. Return its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return child


def limit_processor_time(seconds: float) -> None:
    """End this process if it uses far more processor time than all tests do: it hangs."""
    limit = _LEAST_SECONDS + int(_TIMES * seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


def wait_for(child: int, seconds: float | None) -> bool:
    """Wait for a process; tell whether it ended with 0. One that hangs is killed.

    seconds: of processor time that all tests take; None if that is not known yet
    """
    end = time.monotonic() + _WALL_SECONDS + 10 * (seconds or 60.0)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
