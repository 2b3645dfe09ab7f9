"""Conditions on rows, computed by Arrow: with three values of truth, as in SQL.

Every node is picklable, so a condition travels to executors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.compared_column import TEXT, kind_of
from bedrock_spark.pairs.comparisons import compare, is_in
from bedrock_spark.pairs.written_values import Written

# Functions of one text.
FUNCTIONS = {
    "length": pc.utf8_length,
    "lower": pc.utf8_lower,
    "upper": pc.utf8_upper,
    "trim": lambda texts: pc.utf8_trim(texts, " "),
}


class Node(Protocol):
    """A part of a condition."""

    def values(self, rows: pa.RecordBatch) -> Any:
        """Return an array with a value for each row, or one value for all."""

    def columns(self) -> Iterator[str]:
        """Yield the columns that it needs; one may come more than once."""


@dataclass(frozen=True)
class ColumnValue:
    """The value of a column."""

    name: str

    def values(self, rows: pa.RecordBatch) -> Any:
        found = rows.column(self.name)
        if pa.types.is_dictionary(found.type):
            found = found.dictionary_decode()
        return found

    def columns(self) -> Iterator[str]:
        yield self.name


class _OfOne:
    """A node of one other node."""

    of: Node

    def columns(self) -> Iterator[str]:
        yield from self.of.columns()


@dataclass(frozen=True)
class Literal:
    """A value that is written in the condition; None is null."""

    value: Written

    def values(self, rows: pa.RecordBatch) -> Any:
        if isinstance(self.value, Decimal):
            return pa.scalar(float(self.value))
        return pa.scalar(self.value)

    def columns(self) -> Iterator[str]:
        yield from ()


@dataclass(frozen=True)
class Call(_OfOne):
    """A function of one text."""

    name: str
    of: Node

    def values(self, rows: pa.RecordBatch) -> Any:
        return FUNCTIONS[self.name](_text(self.of.values(rows), f"{self.name}()"))


@dataclass(frozen=True)
class Comparison:
    """Two values are compared; null if one of them is."""

    sign: str
    left: Node
    right: Node

    def values(self, rows: pa.RecordBatch) -> Any:
        return compare(self.sign, _operand(self.left, rows), _operand(self.right, rows))

    def columns(self) -> Iterator[str]:
        yield from self.left.columns()
        yield from self.right.columns()


@dataclass(frozen=True)
class In:
    """A value is one of some; null if it is not, and one of them is null."""

    of: Node
    options: tuple[Node, ...]

    def values(self, rows: pa.RecordBatch) -> Any:
        own = _operand(self.of, rows)
        written = [each.value for each in self.options if isinstance(each, Literal)]
        if isinstance(own, pa.Array) and len(written) == len(self.options):
            return is_in(own, written)
        found: Any = pa.scalar(False)
        for option in self.options:
            found = pc.or_kleene(found, compare("=", own, _operand(option, rows)))
        return found

    def columns(self) -> Iterator[str]:
        yield from self.of.columns()
        for option in self.options:
            yield from option.columns()


@dataclass(frozen=True)
class Like(_OfOne):
    """A text has a form, in which % stands for any characters and _ for one."""

    of: Node
    form: str

    def values(self, rows: pa.RecordBatch) -> Any:
        return pc.match_like(_text(self.of.values(rows), "LIKE"), self.form)


@dataclass(frozen=True)
class IsNull(_OfOne):
    """A value is null."""

    of: Node

    def values(self, rows: pa.RecordBatch) -> Any:
        return pc.is_null(self.of.values(rows))


@dataclass(frozen=True)
class Not(_OfOne):
    """The opposite; null stays null."""

    of: Node

    def values(self, rows: pa.RecordBatch) -> Any:
        return pc.invert(_truth(self.of.values(rows)))


@dataclass(frozen=True)
class Several:
    """All of some conditions are true (is_all), or one of them is."""

    conditions: tuple[Node, ...]
    is_all: bool

    def values(self, rows: pa.RecordBatch) -> Any:
        join = pc.and_kleene if self.is_all else pc.or_kleene
        found = _truth(self.conditions[0].values(rows))
        for each in self.conditions[1:]:
            found = join(found, _truth(each.values(rows)))
        return found

    def columns(self) -> Iterator[str]:
        for each in self.conditions:
            yield from each.columns()


@dataclass(frozen=True)
class Condition:
    """A condition on the rows of one table. text: as it was written"""

    text: str
    node: Node

    @property
    def needed(self) -> list[str]:
        """Return the columns that it needs, each once."""
        return list(dict.fromkeys(self.node.columns()))

    def holds(self, rows: pa.RecordBatch) -> pa.Array:
        """Tell of each row whether the condition is true; it is not if it is null.

        Raises ConfigError if values are compared that have no order in common.
        """
        found = _truth(self.node.values(rows))
        if isinstance(found, pa.Scalar):
            return pa.array([bool(found.as_py())] * rows.num_rows, pa.bool_())
        return pc.fill_null(found, False)


def _truth(found: Any) -> Any:
    if pa.types.is_null(found.type):
        return found.cast(pa.bool_())
    if not pa.types.is_boolean(found.type):
        raise ConfigError(
            f"--where: a value of type {found.type} is neither true nor false; compare it: x = 1"
        )
    return found


def _operand(node: Node, rows: pa.RecordBatch) -> pa.Array | Written:
    """Return an array with a value for each row, or what is written."""
    if isinstance(node, Literal):
        return node.value
    found = node.values(rows)
    if not isinstance(found, pa.Scalar):
        return found
    value = found.as_py()  # such as length('abc')
    return Decimal(value) if type(value) is int else value


def _text(found: Any, what: str) -> Any:
    """Return texts. Raises ConfigError for values of another type. what: needs them"""
    if pa.types.is_null(found.type):
        return found.cast(pa.string())
    if kind_of(found.type) != TEXT:
        raise ConfigError(f"--where: {what} needs a text, and was given {found.type}")
    return found
