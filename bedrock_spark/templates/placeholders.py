"""What most placeholders are: a column, a field, a key or an index, perhaps with a default.

They are read from a row without entering Jinja, and the same way as Jinja reads them.
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
    """`a.b[0]['c']`, perhaps with a default for when it is null."""

    column: str
    path: tuple[str | int, ...] = ()
    has_default: bool = False
    default: Any = None

    def of(self, row: Row) -> Any:
        """Return the value in a row. Raises RowRejected for a null and for what is not there."""
        value: Any = row[self.column]
        for i, step in enumerate(self.path):
            if value is None:
                break
            found = _step_into(value, step)
            if found is _ABSENT:
                if self.has_default:
                    return self.default
                what = "element" if isinstance(step, int) else "field"
                raise RowRejected(self.name(i), f"has no {what} {step}")
            value = found
        if value is None:
            if self.has_default:
                return self.default
            raise RowRejected(self.name(), "is null")
        return value

    def name(self, steps: int | None = None) -> str:
        """Return what it looks up, or its first steps, as people write it."""
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


def lookup_of(node: jinja2.nodes.Node) -> Placeholder | None:
    """Return the placeholder that an expression is, or None where it is more than one."""
    if isinstance(node, jinja2.nodes.Name):
        return Placeholder(node.name)
    if isinstance(node, (jinja2.nodes.Getattr, jinja2.nodes.Getitem)):
        below, step = lookup_of(node.node), _step(node)
        if below is None or below.has_default or step is None:
            return None
        return Placeholder(below.column, (*below.path, step))
    if isinstance(node, jinja2.nodes.Filter) and node.name in ("default", "d") and node.node:
        return _with_default(lookup_of(node.node), node)
    return None


def _with_default(below: Placeholder | None, node: jinja2.nodes.Filter) -> Placeholder | None:
    constant = len(node.args) == 1 and isinstance(node.args[0], jinja2.nodes.Const)
    if below is None or below.has_default or not constant:
        return None
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        return None
    return Placeholder(below.column, below.path, True, node.args[0].as_const())


def _step(node: jinja2.nodes.Getattr | jinja2.nodes.Getitem) -> str | int | None:
    if isinstance(node, jinja2.nodes.Getattr):
        return node.attr
    key = node.arg.value if isinstance(node.arg, jinja2.nodes.Const) else None
    return key if type(key) in (str, int) else None
