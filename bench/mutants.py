"""Change one thing in a module that guards money or state, and see whether its tests notice.

    python bench/mutants.py [--sample 60] [--seed 1] [--module fanout/slots.py]

Mutation testing (https://en.wikipedia.org/wiki/Mutation_testing). A mutant swaps a comparison or an
`and`, negates a condition, shifts a number, or removes a call or a `raise`. Each one is tested in a
copy of the repository, in a process that was forked after the slow imports. A first run without a
change notes which tests call which functions of the module (`bench/test_order.py`): a mutant in a
function gets only those, first the ones that noticed other mutants of it, then the quick ones.
Prints the mutants that all tests of the module let pass, with file and line: each needs a test, or
a reason why it behaves as the original does.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.test_order import CallRecorder, FailureRecorder, TestOrder  # noqa: E402

PACKAGE = "bedrock_spark"
# The modules, below the package, and the tests of each, below tests/unit.
MODULES: dict[str, tuple[str, ...]] = {
    "shards/record_ids.py": ("shards/test_record_ids.py",),
    "shards/plan.py": ("shards/test_plan.py", "shards/test_fill.py"),
    "aws/retry.py": ("aws/test_retry.py",),
    "outputs/reconcile.py": ("outputs/test_reconcile.py",),
    "costs/budget.py": ("costs/test_budget.py",),
    "run_folder/lease.py": ("run_folder/test_lease.py",),
    "run_folder/ledger/ledger.py": ("run_folder/test_ledger.py",),
    "run_folder/ledger/state.py": ("run_folder/test_ledger.py", "fanout"),
    "run_folder/ledger/snapshots.py": ("run_folder/test_ledger.py",),
    "run_folder/ledger/objects.py": ("run_folder/test_ledger.py",),
    "fanout/scheduler.py": ("fanout/test_scheduler.py", "fanout/test_targets.py"),
    "fanout/tracker.py": ("fanout",),
    "fanout/slots.py": ("fanout/test_slots.py", "fanout/test_scheduler.py"),
    "fanout/breaker.py": ("fanout/test_breaker.py",),
    "fanout/unlisted_jobs.py": ("fanout/test_unlisted_jobs.py", "fanout/test_late_output.py"),
    "fanout/remainder.py": ("fanout/test_remainder.py", "fanout/test_late_output.py"),
    "run_folder/claims.py": ("run_folder/test_claims.py",),
    "run_folder/purchases.py": ("fallback/test_provisioning.py",),
    "fallback/share.py": ("fallback/test_share.py",),
    "outputs/claims.py": ("outputs/test_claims.py",),
    "config/overlaps.py": ("config/test_overlaps.py",),
    "config/places.py": ("config/test_places.py", "config/test_overlaps.py"),
}
_PRELOADED = (
    "boto3", "botocore.session", "hypothesis", "moto", "msgspec", "numpy", "pyarrow.parquet",
    "pydantic", "pyspark.sql", "pytest", "tenacity", "xxhash", "yaml",
)  # fmt: skip
_COPIED = ("bedrock_spark", "bedrock_emulator", "tests", "bench", "docs", "conf", "pyproject.toml")
_TIMEOUT_SECONDS = 180.0
_COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"),
    ast.Eq: ("!=",), ast.NotEq: ("==",), ast.In: ("not in",), ast.NotIn: ("in",),
    ast.Is: ("is not",), ast.IsNot: ("is",),
}  # fmt: skip
_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the module, its place in the source, and the new text."""

    module: str
    line: int
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """Return the source with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def shown(self, source: bytes) -> str:
        """Return the changed line, joined if the change spans several."""
        changed = self.applied(source)
        begin = changed.rfind(b"\n", 0, self.start) + 1
        end = changed.find(b"\n", self.start + len(self.text.encode()))
        return " ".join(changed[begin:end].decode().split())


class _Finder(ast.NodeVisitor):
    """Finds the mutants of one module."""

    def __init__(self, module: str, source: bytes) -> None:
        self._module = module
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.mutants: list[Mutant] = []

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> str:
        start, end = self._place(node)
        return self._source[start:end].decode()

    def _add(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.mutants.append(Mutant(self._module, node.lineno, *self._place(node), text))

    def _between(self, left: ast.expr, right: ast.expr, text: str) -> None:
        """Replace the operator between two operands, which parentheses may surround."""
        start, end = self._place(left)[1], self._place(right)[0]
        found = self._source[start:end].decode()
        before = found[: len(found) - len(found.lstrip(") \n"))]
        after = found[len(found.rstrip("( \n")) :]
        self.mutants.append(Mutant(self._module, left.lineno, start, end, before + text + after))

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            for text in _COMPARISONS[type(operator)]:
                self._between(left, right, text)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        text = "or" if isinstance(node.op, ast.And) else "and"
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, text)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        text = _SIGNS.get(type(node.op))
        if text is not None and not isinstance(node.left, ast.JoinedStr | ast.List | ast.Tuple):
            self._between(node.left, node.right, text)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, str(not node.value))
        elif isinstance(node.value, int | float):
            self._add(node, f"({node.value!r} + 1)")
            if node.value > 0:
                self._add(node, f"({node.value!r} - 1)")

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Remove a call. Docstrings and logs stay as they are."""
        value = node.value
        if isinstance(value, ast.Call):
            if self._text(value).startswith("log."):
                return
            self._add(node, "pass")
        if not isinstance(value, ast.Constant):
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "pass")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in (*node.defaults, *node.kw_defaults):
            if default is not None:
                self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.visit(node.args)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Leave decorators and options such as `frozen=True` as they are."""
        for statement in node.body:
            self.visit(statement)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave messages as they are."""

    def _negate(self, test: ast.expr) -> None:
        self._add(test, f"(not ({self._text(test)}))")


def find_mutants(module: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a module."""
    finder = _Finder(module, source)
    finder.visit(ast.parse(source))
    return finder.mutants


def copy_repository(folder: Path) -> None:
    """Copy what the tests need, without compiled files: those could be of another mutant."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


class Testers:
    """Tests mutants, some at the same time, each in its own copy of the repository."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._free = [folder / str(n) for n in range(jobs)]
        self._busy: dict[int, tuple[Mutant, Path, float]] = {}
        self._orders: dict[str, TestOrder] = {}
        for copy in self._free:
            copy.mkdir()
            copy_repository(copy)

    def learn(self, module: str) -> None:
        """Run the tests of a module as it is, and note which of them call which functions."""
        copy = self._free[0]
        recorder = CallRecorder(copy / PACKAGE / module, copy / "calls.json")
        child = _fork(copy, module, recorder)
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit(f"{module}: its tests fail as it is")
        source = (ROOT / PACKAGE / module).read_bytes()
        self._orders[module] = TestOrder.read(source, copy / "calls.json")

    def start(self, mutant: Mutant) -> None:
        """Begin to test a mutant of a module that was learnt."""
        copy, module = self._free.pop(), mutant.module
        (copy / PACKAGE / module).write_bytes(
            mutant.applied((ROOT / PACKAGE / module).read_bytes())
        )
        tests = self._orders[module].tests_of(mutant.line)
        child = _fork(copy, module, FailureRecorder(tests, copy / "failed"))
        self._busy[child] = mutant, copy, time.monotonic()

    def ended(self) -> tuple[Mutant, bool]:
        """Wait for one mutant; return it, and whether a test failed. A hang is a failure, too."""
        while True:
            for child, (mutant, copy, began) in self._busy.items():
                done, status = os.waitpid(child, os.WNOHANG)
                is_late = not done and time.monotonic() - began > _TIMEOUT_SECONDS
                if is_late:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                if done or is_late:
                    del self._busy[child]
                    self._free.append(copy)
                    shutil.copy(ROOT / PACKAGE / mutant.module, copy / PACKAGE / mutant.module)
                    self._orders[mutant.module].note(mutant.line, copy / "failed")
                    return mutant, is_late or status != 0
            time.sleep(0.02)

    @property
    def is_full(self) -> bool:
        """Tell whether a mutant must end before the next can begin."""
        return not self._free

    @property
    def are_done(self) -> bool:
        """Tell whether no mutant is being tested."""
        return not self._busy


def _fork(copy: Path, module: str, plugin: object) -> int:
    """Run the tests of a module in a copy, in a new process. Return its id."""
    child = os.fork()
    if child == 0:
        _test(copy, [f"tests/unit/{name}" for name in MODULES[module]], plugin)
    return child


def _test(copy: Path, tests: list[str], plugin: object) -> None:
    """Run tests in this process, which ends with their exit code."""
    import pytest

    os.chdir(copy)
    sys.path.insert(0, str(copy))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    try:
        code = int(pytest.main([*options, *tests], plugins=[plugin]))
    except BaseException:  # noqa: BLE001
        code = 1
    # No tests: none calls the function.
    os._exit(0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code)


def test_all(mutants: list[Mutant], testers: Testers) -> Iterator[tuple[Mutant, bool]]:
    """Test each module as it is, then its mutants; yield them with whether a test noticed."""
    for module in dict.fromkeys(mutant.module for mutant in mutants):
        testers.learn(module)
    waiting = list(mutants)
    while waiting or not testers.are_done:
        while waiting and not testers.is_full:
            testers.start(waiting.pop(0))
        yield testers.ended()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=60, help="how many mutants; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample")
    parser.add_argument("--module", action="append", choices=sorted(MODULES), help="only this one")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    options = parser.parse_args()
    sources = {m: (ROOT / PACKAGE / m).read_bytes() for m in options.module or MODULES}
    mutants = [mutant for m, source in sources.items() for mutant in find_mutants(m, source)]
    if options.sample and options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    mutants.sort(key=lambda mutant: (mutant.module, mutant.line))
    sys.dont_write_bytecode = True
    for name in _PRELOADED:
        importlib.import_module(name)
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for mutant, is_noticed in test_all(mutants, Testers(Path(folder), options.jobs)):
            if not is_noticed:
                survivors += 1
                shown = mutant.shown(sources[mutant.module])
                sys.stdout.write(f"{PACKAGE}/{mutant.module}:{mutant.line}: {shown}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{len(mutants)} mutants, {len(mutants) - survivors} killed, ")
    sys.stdout.write(f"{survivors} survived\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
