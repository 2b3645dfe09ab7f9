"""Simple placeholders: a column, a field, a key or an index, perhaps with a default.

Most placeholders are simple. They are read from a row without calling Jinja, with the same result.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2.nodes

Row = Mapping[str, Any]


class RowRejected(Exception):  # noqa: N818 - an outcome, not an error; it never leaves the task
    """This row cannot become a record."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


@dataclass(frozen=True)
class Placeholder:
    """`a.b[0]['c']`, perhaps with a default that replaces a null."""

    column: str
    path: tuple[str | int, ...] = ()
    has_default: bool = False
    default: Any = None

    def of(self, row: Row) -> Any:
        """Return the value in a row, or the default. Raises RowRejected if there is neither."""
        value: Any = row[self.column]
        for i, step in enumerate(self.path):
            if value is None:
                break
            member = _step_into(value, step)
            if member is _ABSENT:
                if self.has_default:
                    return self.default
                noun = "element" if isinstance(step, int) else "field"
                raise RowRejected(self.name(i), f"has no {noun} {step}")
            value = member
        if value is None:
            if self.has_default:
                return self.default
            raise RowRejected(self.name(), "is null")
        return value

    def name(self, steps: int | None = None) -> str:
        """Return the column and the first `steps` steps (None: all), as in `a.b.0`."""
        return ".".join((self.column, *map(str, self.path[:steps])))


_ABSENT = object()
_PARTS_OF_TIME = ("year", "month", "day", "hour", "minute", "second")


def _step_into(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, (list, str)) and step < len(value) else _ABSENT
    if isinstance(value, Mapping):
        return value.get(step, _ABSENT)
    is_time = isinstance(value, (dt.date, dt.time)) and step in _PARTS_OF_TIME
    return getattr(value, step, _ABSENT) if is_time else _ABSENT


def placeholder_of(node: jinja2.nodes.Node) -> Placeholder | None:
    """Return an expression as a simple placeholder, or None if it is not a simple one."""
    if isinstance(node, jinja2.nodes.Name):
        return Placeholder(node.name)
    if isinstance(node, (jinja2.nodes.Getattr, jinja2.nodes.Getitem)):
        base, step = placeholder_of(node.node), _step(node)
        if base is None or base.has_default or step is None:
            return None
        return Placeholder(base.column, (*base.path, step))
    if isinstance(node, jinja2.nodes.Filter) and node.name in ("default", "d") and node.node:
        return _with_default(placeholder_of(node.node), node)
    return None


def _with_default(base: Placeholder | None, node: jinja2.nodes.Filter) -> Placeholder | None:
    is_constant = len(node.args) == 1 and isinstance(node.args[0], jinja2.nodes.Const)
    if base is None or base.has_default or not is_constant:
        return None
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        return None
    return Placeholder(base.column, base.path, True, node.args[0].as_const())


def _step(node: jinja2.nodes.Getattr | jinja2.nodes.Getitem) -> str | int | None:
    if isinstance(node, jinja2.nodes.Getattr):
        return node.attr
    key = node.arg.value if isinstance(node.arg, jinja2.nodes.Const) else None
    return key if type(key) in (str, int) else None


def name_row_columns(tree: jinja2.nodes.Template) -> dict[str, str]:
    """Replace each `row["any name"]` in a template by a variable; return the variables' columns.

    So a column may have a name that no variable can have. `row` is the row only with a text in
    brackets, and only if the template itself sets no variable of this name.
    """
    nodes = list(tree.find_all(jinja2.nodes.Name))
    if any(node.name == "row" and node.ctx != "load" for node in nodes):
        return {}
    variables: dict[str, str] = {}

    def replaced(node: jinja2.nodes.Node) -> jinja2.nodes.Node:
        if isinstance(node, jinja2.nodes.Getitem) and isinstance(node.arg, jinja2.nodes.Const):
            base, column = node.node, node.arg.value
            is_row = isinstance(base, jinja2.nodes.Name) and base.name == "row"
            if is_row and isinstance(column, str):
                variable = variables.setdefault(column, f"_bs_column_{len(variables)}")
                return jinja2.nodes.Name(variable, "load", lineno=node.lineno)
        for name, value in node.iter_fields():
            if isinstance(value, jinja2.nodes.Node):
                setattr(node, name, replaced(value))
            elif isinstance(value, list):
                members = (replaced(v) if isinstance(v, jinja2.nodes.Node) else v for v in value)
                value[:] = list(members)
        return node

    replaced(tree)
    return {variable: column for column, variable in variables.items()}
