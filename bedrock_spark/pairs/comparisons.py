"""Compare values of a column with a written value or with another column, without rounding.

Arrow alone raises errors of its own if two types have no common one that holds all values: integers
beyond 2**53 beside fractions, times with and without a zone, numbers of more than 64 bits. Here, a
written value is moved to the nearest values that the column can have, and columns get a type that
holds both. As in Spark SQL:

- integers and decimals are compared exactly, floats with what is nearest to the number as 64 bits
- NaN equals itself and is greater than every other number
- a time without a zone is one in UTC, and a day is the time at which it begins
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.compared_column import (
    BYTES,
    DATE,
    NUMBER,
    TEXT,
    TIME,
    ComparedColumn,
    compared_column,
    equal_values,
    exact_in,
    limits_of,
    named,
    no_comparison,
    plain_in,
    scalar_of,
    scale_of,
)
from bedrock_spark.pairs.written_values import Written, number_in, truth_in

_ARROW: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "==": pc.equal,
    "<>": pc.not_equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS = frozenset(_ARROW)
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NULL = pa.scalar(None, pa.bool_())
# The most digits of a decimal in Arrow.
_MOST_DIGITS = 76


def compare(sign: str, left: pa.Array | Written, right: pa.Array | Written) -> pa.Array | pa.Scalar:
    """Tell of each row whether two values compare as a sign says; null if one of them is null.

    sign: of COMPARISONS
    Raises ConfigError for types, and for a written value, that cannot be compared.
    """
    if not isinstance(left, pa.Array):
        if not isinstance(right, pa.Array):
            return pa.scalar(_compare_written(sign, left, right), pa.bool_())
        return compare(_MIRRORED.get(sign, sign), right, left)
    if right is None or any(_is_null(each) for each in (left, right)):
        return _NULL
    column = compared_column(left)
    if isinstance(right, pa.Array):
        other = compared_column(right)
        if column is None or other is None:
            raise no_comparison(left.type, right.type)
        return _compare_columns(sign, column, other)
    if column is None:
        raise no_comparison(left.type, named(right))
    return _compare_with_written(sign, column, right)


def is_in(array: pa.Array, options: Sequence[Written]) -> pa.Array | pa.Scalar:
    """Tell of each row whether its value is one of some; null if it is not, and one of them is.

    Raises ConfigError as `compare` does.
    """
    if _is_null(array):
        return _NULL
    column = compared_column(array)
    known = [option for option in options if option is not None]
    if column is None:
        raise no_comparison(array.type, named(known[0]) if known else "NULL")
    wanted = [value for option in known for value in equal_values(column, option)]
    found = pc.is_in(column.values, value_set=pa.array(wanted, column.values.type))
    is_known = column.values.is_valid()
    if len(known) < len(options):  # then what is not found may be the null
        is_known = pc.and_(is_known, found)
    return pc.if_else(is_known, found, _NULL)


def _is_null(value: object) -> bool:
    return isinstance(value, pa.Array) and pa.types.is_null(value.type)


def _compare_written(sign: str, left: Written, right: Written) -> bool | None:
    """Compare two written values; a text takes the type of the other one."""
    if left is None or right is None:
        return None
    if isinstance(left, str) != isinstance(right, str):
        other = right if isinstance(left, str) else left
        left, right = (_as_other(each, other) for each in (left, right))
    if type(left) is not type(right):
        raise no_comparison(named(left), named(right))
    return _PLAIN[sign](left, right)


def _as_other(value: Written, other: Written) -> Written:
    if not isinstance(value, str):
        return value
    found: Written = truth_in(value) if isinstance(other, bool) else number_in(value)
    if found is None:
        raise ConfigError(f"--where: {value!r} is not {named(other)}")
    return found


def _compare_with_written(sign: str, column: ComparedColumn, value: str | Decimal | bool) -> Any:
    if column.kind not in (NUMBER, TIME, DATE) or column.is_float:
        return _compare_plain(sign, column.values, plain_in(column, value))
    wanted = exact_in(column, value)
    below, above = math.floor(wanted), math.ceil(wanted)
    lowest, highest = limits_of(column.values.type)
    if above > highest or below < lowest:
        # It is greater than every value of the type, or less.
        return _constant(column.values, _PLAIN[sign](0, 1 if above > highest else -1))
    if below != above and sign in ("=", "==", "<>", "!="):
        return _constant(column.values, sign in ("<>", "!="))
    whole = above if sign in ("<", ">=") else below
    return _ARROW[sign](column.values, scalar_of(whole, column.values.type))


def _compare_plain(sign: str, left: Any, right: Any) -> Any:
    """Compare values of one type; NaN is the greatest float."""
    found = _ARROW[sign](left, right)
    if not pa.types.is_floating(left.type):
        return found
    is_left, is_right = pc.is_nan(left), pc.is_nan(right)
    if sign in ("=", "=="):
        return pc.or_(found, pc.and_(is_left, is_right))
    if sign in ("<>", "!="):
        return pc.and_not(found, pc.and_(is_left, is_right))
    if sign in ("<=", ">="):
        return pc.or_(found, is_right if sign == "<=" else is_left)
    less, more = (is_left, is_right) if sign == "<" else (is_right, is_left)
    return pc.or_(found, pc.and_not(more, less))


def _constant(values: pa.Array, is_so: bool) -> pa.Array:
    """Return the same truth for all values that are not null."""
    return pc.if_else(values.is_valid(), pa.scalar(is_so), _NULL)


def _compare_columns(sign: str, left: ComparedColumn, right: ComparedColumn) -> Any:
    kinds = {left.kind, right.kind}
    if len(kinds) > 1 and kinds != {TIME, DATE}:
        raise no_comparison(left.named, right.named)
    one, other = left.values, right.values
    if left.tick != right.tick:
        one, other = (_nanoseconds(each) for each in (left, right))
    elif one.type != other.type:
        kind = _common_type(left, right)
        one, other = (each.cast(kind, safe=not pa.types.is_floating(kind)) for each in (one, other))
    return _compare_plain(sign, one, other)


def _nanoseconds(column: ComparedColumn) -> pa.Array:
    """Return times as decimals: 64 bits would not hold years before 1678 in nanoseconds."""
    ticks = column.values.cast(pa.decimal128(19, 0))
    return pc.multiply(ticks, pa.scalar(Decimal(column.tick), pa.decimal128(14, 0)))


def _common_type(left: ComparedColumn, right: ComparedColumn) -> pa.DataType:
    """Return a type that holds the values of two columns of the same kind."""
    if left.kind == TEXT:
        return pa.large_string()
    if left.kind == BYTES:
        return pa.large_binary()
    kinds = left.values.type, right.values.type
    if any(map(pa.types.is_floating, kinds)):
        return pa.float64()
    if all(map(pa.types.is_signed_integer, kinds)):
        return pa.int64()
    scale = max(map(scale_of, kinds))
    before = max(len(str(limits_of(kind)[1])) - scale_of(kind) for kind in kinds)
    if before + scale > _MOST_DIGITS:
        raise ConfigError(
            f"--where: {left.named} and {right.named} cannot be compared: together they have more "
            f"than {_MOST_DIGITS} digits"
        )
    return pa.decimal256(before + scale, scale)
