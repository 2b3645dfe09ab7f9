"""Conditions on rows, computed by Arrow: with three values of truth, as in SQL.

Every node is picklable, so a condition travels to executors.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.errors import ConfigError

COMPARISONS = {
    "=": pc.equal,
    "==": pc.equal,
    "<>": pc.not_equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
# Functions of one text.
FUNCTIONS = {
    "length": pc.utf8_length,
    "lower": pc.utf8_lower,
    "upper": pc.utf8_upper,
    "trim": lambda texts: pc.utf8_trim(texts, " "),
}
Values = pa.Array | pa.Scalar


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


class _OfTwo:
    """A node of two other nodes."""

    left: Node
    right: Node

    def columns(self) -> Iterator[str]:
        yield from self.left.columns()
        yield from self.right.columns()


@dataclass(frozen=True)
class Literal:
    """A value that is written in the condition; None is null."""

    value: str | int | Decimal | bool | None

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
        found = self.of.values(rows)
        if not _is_text(found.type):
            raise ConfigError(f"--where: {self.name}() needs a text, and was given {found.type}")
        return FUNCTIONS[self.name](found)


@dataclass(frozen=True)
class Comparison(_OfTwo):
    """Two values are compared; null if one of them is."""

    sign: str
    left: Node
    right: Node

    def values(self, rows: pa.RecordBatch) -> Any:
        left, right = _alike(self.left.values(rows), self.right.values(rows))
        return COMPARISONS[self.sign](left, right)


@dataclass(frozen=True)
class Like(_OfOne):
    """A text has a form, in which % stands for any characters and _ for one."""

    of: Node
    form: str

    def values(self, rows: pa.RecordBatch) -> Any:
        found = self.of.values(rows)
        if not _is_text(found.type):
            raise ConfigError(f"--where: LIKE needs a text, and was given {found.type}")
        return pc.match_like(found, self.form)


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
class Both(_OfTwo):
    """Both are true (is_all), or one of them is."""

    left: Node
    right: Node
    is_all: bool

    def values(self, rows: pa.RecordBatch) -> Any:
        join = pc.and_kleene if self.is_all else pc.or_kleene
        return join(_truth(self.left.values(rows)), _truth(self.right.values(rows)))


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


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Return two values in types that can be compared: a written text takes the other's type."""
    if pa.types.is_null(left.type) or pa.types.is_null(right.type):
        kind = right.type if pa.types.is_null(left.type) else left.type
        return left.cast(kind), right.cast(kind)
    if isinstance(right, pa.Scalar) and _is_text(right.type):
        right = _as(right, left.type)
    elif isinstance(left, pa.Scalar) and _is_text(left.type):
        left = _as(left, right.type)
    kinds = _kind(left.type), _kind(right.type)
    if kinds[0] != kinds[1] or kinds[0] is None:
        raise ConfigError(f"--where: {left.type} and {right.type} cannot be compared")
    return left, right


def _as(text: pa.Scalar, kind: pa.DataType) -> pa.Scalar:
    """Return a written text as a value of a type."""
    if _kind(kind) == "text":
        return text
    value = text.as_py()
    try:
        if pa.types.is_timestamp(kind):
            moment = dt.datetime.fromisoformat(value)
            zone = moment.tzinfo or dt.UTC
            return pa.scalar(moment.replace(tzinfo=zone), pa.timestamp("us", "UTC"))
        if pa.types.is_date(kind):
            return pa.scalar(dt.date.fromisoformat(value), kind)
        if _kind(kind) == "number":
            return pa.scalar(float(value))
        return text.cast(kind)
    except (ValueError, pa.ArrowException):
        raise ConfigError(f"--where: {value!r} is no {kind}") from None


def _kind(kind: pa.DataType) -> str | None:
    """Return what values of a type are compared as; None if they cannot be compared."""
    of = pa.types
    if _is_text(kind):
        return "text"
    if of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind):
        return "number"
    for name, is_it in (
        ("true or false", of.is_boolean),
        ("time", of.is_timestamp),
        ("day", of.is_date),
        ("bytes", of.is_binary),
    ):
        if is_it(kind):
            return name
    return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
