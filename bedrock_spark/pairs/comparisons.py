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
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.written_values import (
    DAY,
    NANOSECONDS,
    Written,
    day_in,
    exact,
    float_in,
    moment_in,
    number_in,
    truth_in,
)

TEXT, NUMBER, TRUTH, TIME, DATE, BYTES = "text", "number", "true or false", "time", "day", "bytes"
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
_TICKS = {"s": NANOSECONDS, "ms": 10**6, "us": 10**3, "ns": 1}
_NULL = pa.scalar(None, pa.bool_())
# The most digits of a decimal in Arrow.
_MOST_DIGITS = 76


def kind_of(kind: pa.DataType) -> str | None:
    """Return what values of a type are compared as; None if they cannot be compared."""
    of = pa.types
    for name, tests in (
        (TEXT, (of.is_string, of.is_large_string)),
        (NUMBER, (of.is_integer, of.is_float32, of.is_float64, of.is_decimal)),
        (TRUTH, (of.is_boolean,)),
        (TIME, (of.is_timestamp,)),
        (DATE, (of.is_date,)),
        (BYTES, (of.is_binary, of.is_large_binary)),
    ):
        if any(test(kind) for test in tests):
            return name
    return None


@dataclass(frozen=True)
class _Column:
    """Values that can be compared.

    kind: as of `kind_of`; named: the type that messages name
    values: of times and days, the number of ticks since 1970; tick: its nanoseconds
    """

    kind: str
    named: pa.DataType
    values: pa.Array
    tick: int = 1

    @property
    def is_float(self) -> bool:
        return bool(pa.types.is_floating(self.values.type))


def _column(array: pa.Array) -> _Column | None:
    kind, own = kind_of(array.type), array.type
    if kind is None:
        return None
    if kind == TIME:
        return _Column(kind, own, array.cast(pa.int64()), _TICKS[own.unit])
    if kind == DATE:
        is_days = pa.types.is_date32(own)
        ticks = array.cast(pa.int32()).cast(pa.int64()) if is_days else array.cast(pa.int64())
        return _Column(kind, own, ticks, DAY if is_days else _TICKS["ms"])
    return _Column(kind, own, array.cast(pa.float64()) if pa.types.is_float32(own) else array)


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
    column = _column(left)
    if isinstance(right, pa.Array):
        other = _column(right)
        if column is None or other is None:
            raise _no_comparison(left.type, right.type)
        return _compare_columns(sign, column, other)
    if column is None:
        raise _no_comparison(left.type, _named(right))
    return _compare_with_written(sign, column, right)


def is_in(array: pa.Array, options: Sequence[Written]) -> pa.Array | pa.Scalar:
    """Tell of each row whether its value is one of some; null if it is not, and one of them is.

    Raises ConfigError as `compare` does.
    """
    if _is_null(array):
        return _NULL
    column = _column(array)
    known = [option for option in options if option is not None]
    if column is None:
        raise _no_comparison(array.type, _named(known[0]) if known else "NULL")
    wanted = [value for option in known for value in _equal_values(column, option)]
    found = pc.is_in(column.values, value_set=pa.array(wanted, column.values.type))
    is_known = column.values.is_valid()
    if len(known) < len(options):  # then what is not found may be the null
        is_known = pc.and_(is_known, found)
    return pc.if_else(is_known, found, _NULL)


def _is_null(value: object) -> bool:
    return isinstance(value, pa.Array) and pa.types.is_null(value.type)


def _named(value: Written) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"


def _no_comparison(one: object, other: object) -> ConfigError:
    return ConfigError(f"--where: {one} and {other} cannot be compared")


def _compare_written(sign: str, left: Written, right: Written) -> bool | None:
    """Compare two written values; a text takes the type of the other one."""
    if left is None or right is None:
        return None
    if isinstance(left, str) != isinstance(right, str):
        other = right if isinstance(left, str) else left
        left, right = (_as_other(each, other) for each in (left, right))
    if type(left) is not type(right):
        raise _no_comparison(_named(left), _named(right))
    return _PLAIN[sign](left, right)


def _as_other(value: Written, other: Written) -> Written:
    if not isinstance(value, str):
        return value
    found: Written = truth_in(value) if isinstance(other, bool) else number_in(value)
    if found is None:
        raise ConfigError(f"--where: {value!r} is not {_named(other)}")
    return found


def _compare_with_written(sign: str, column: _Column, value: str | Decimal | bool) -> Any:
    if column.kind not in (NUMBER, TIME, DATE) or column.is_float:
        return _compare_plain(sign, column.values, _plain(column, value))
    wanted = _exact(column, value)
    below, above = math.floor(wanted), math.ceil(wanted)
    lowest, highest = _limits(column.values.type)
    if above > highest or below < lowest:
        # It is greater than every value of the type, or less.
        return _constant(column.values, _PLAIN[sign](0, 1 if above > highest else -1))
    if below != above and sign in ("=", "==", "<>", "!="):
        return _constant(column.values, sign in ("<>", "!="))
    whole = above if sign in ("<", ">=") else below
    return _ARROW[sign](column.values, _scalar(whole, column.values.type))


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


def _plain(column: _Column, value: str | Decimal | bool) -> pa.Scalar:
    """Return a written value as one of a column of texts, floats, bytes, or true and false."""
    found: Any = None
    if column.is_float and not isinstance(value, bool):
        found = float_in(value) if isinstance(value, str) else float(value)
    elif column.kind == TRUTH and not isinstance(value, Decimal):
        found = truth_in(value) if isinstance(value, str) else value
    elif isinstance(value, str):
        found = value.encode() if column.kind == BYTES else value
    if found is None:
        raise _misfit(column, value)
    return pa.scalar(found, column.values.type)


def _misfit(column: _Column, value: Written) -> ConfigError:
    if isinstance(value, str):
        return ConfigError(f"--where: {value!r} is no {column.named}")
    if column.kind == TEXT:
        return ConfigError(
            f"--where: a text and {_named(value)} cannot be compared; write it in '…', as a text"
        )
    return _no_comparison(column.named, _named(value))


def _exact(column: _Column, value: str | Decimal | bool) -> Fraction:
    """Return a written value in the units of a column: in its ticks, or in its last digit."""
    found: Fraction | None = None
    if column.kind == NUMBER and not isinstance(value, bool):
        number = number_in(value) if isinstance(value, str) else value
        found = None if number is None else exact(number) * 10 ** _scale(column.values.type)
    elif isinstance(value, str) and column.kind != NUMBER:
        passed = moment_in(value) if column.kind == TIME else day_in(value)
        found = None if passed is None else passed / column.tick
    if found is None:
        raise _misfit(column, value)
    return found


def _equal_values(column: _Column, value: str | Decimal | bool) -> list[Any]:
    """Return the values of a column that equal a written one: usually one, or none."""
    if column.kind not in (NUMBER, TIME, DATE) or column.is_float:
        plain = _plain(column, value).as_py()
        return [0.0, -0.0] if column.is_float and plain == 0 else [plain]
    wanted = _exact(column, value)
    lowest, highest = _limits(column.values.type)
    if wanted.denominator != 1 or not lowest <= wanted <= highest:
        return []
    return [_scalar(int(wanted), column.values.type).as_py()]


def _scale(kind: pa.DataType) -> int:
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def _limits(kind: pa.DataType) -> tuple[int, int]:
    """Return the least and the greatest value of a type, in units of its last digit."""
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        return -most, most
    if pa.types.is_signed_integer(kind):
        half = 1 << (kind.bit_width - 1)
        return -half, half - 1
    return 0, (1 << kind.bit_width) - 1


def _scalar(whole: int, kind: pa.DataType) -> pa.Scalar:
    """Return a value of a type, given in units of its last digit."""
    if not pa.types.is_decimal(kind):
        return pa.scalar(whole, kind)
    digits = tuple(map(int, str(abs(whole))))
    return pa.scalar(Decimal((int(whole < 0), digits, -kind.scale)), kind)


def _compare_columns(sign: str, left: _Column, right: _Column) -> Any:
    kinds = {left.kind, right.kind}
    if len(kinds) > 1 and kinds != {TIME, DATE}:
        raise _no_comparison(left.named, right.named)
    one, other = left.values, right.values
    if left.tick != right.tick:
        one, other = (_nanoseconds(each) for each in (left, right))
    elif one.type != other.type:
        kind = _common_type(left, right)
        one, other = (each.cast(kind, safe=not pa.types.is_floating(kind)) for each in (one, other))
    return _compare_plain(sign, one, other)


def _nanoseconds(column: _Column) -> pa.Array:
    """Return times as decimals: 64 bits would not hold years before 1678 in nanoseconds."""
    ticks = column.values.cast(pa.decimal128(19, 0))
    return pc.multiply(ticks, pa.scalar(Decimal(column.tick), pa.decimal128(14, 0)))


def _common_type(left: _Column, right: _Column) -> pa.DataType:
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
    scale = max(map(_scale, kinds))
    before = max(len(str(_limits(kind)[1])) - _scale(kind) for kind in kinds)
    if before + scale > _MOST_DIGITS:
        raise ConfigError(
            f"--where: {left.named} and {right.named} cannot be compared: together they have more "
            f"than {_MOST_DIGITS} digits"
        )
    return pa.decimal256(before + scale, scale)
