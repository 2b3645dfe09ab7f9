"""Find the mutants of a module: one change of a comparison, a condition, a number, a call."""

from __future__ import annotations

import ast
from dataclasses import dataclass

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
