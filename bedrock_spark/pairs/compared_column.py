"""A column whose values are compared with written ones, each moved to what the column can hold.

Times and days are numbers of ticks since 1970. Integers, decimals, times and days are compared as
whole numbers of their last digit, exactly; floats as what is nearest as 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

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
_TICKS = {"s": NANOSECONDS, "ms": 10**6, "us": 10**3, "ns": 1}


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
class ComparedColumn:
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
        """Tell whether the values are floats, which can be NaN."""
        return bool(pa.types.is_floating(self.values.type))


def compared_column(array: pa.Array) -> ComparedColumn | None:
    """Return the values of an array as they are compared; None if its type cannot be compared."""
    kind, own = kind_of(array.type), array.type
    if kind is None:
        return None
    if kind == TIME:
        return ComparedColumn(kind, own, array.cast(pa.int64()), _TICKS[own.unit])
    if kind == DATE:
        is_days = pa.types.is_date32(own)
        ticks = array.cast(pa.int32()).cast(pa.int64()) if is_days else array.cast(pa.int64())
        return ComparedColumn(kind, own, ticks, DAY if is_days else _TICKS["ms"])
    is_short = pa.types.is_float32(own)
    return ComparedColumn(kind, own, array.cast(pa.float64()) if is_short else array)


def named(value: Written) -> str:
    """Return what messages call a written value."""
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"


def no_comparison(one: object, other: object) -> ConfigError:
    """Return the error for two types, or a type and what a value is called."""
    return ConfigError(f"--where: {one} and {other} cannot be compared")


def plain_in(column: ComparedColumn, value: str | Decimal | bool) -> pa.Scalar:
    """Return a written value as one of a column of texts, floats, bytes, or true and false.

    Raises ConfigError if the column cannot have it.
    """
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


def _misfit(column: ComparedColumn, value: Written) -> ConfigError:
    if isinstance(value, str):
        return ConfigError(f"--where: {value!r} is no {column.named}")
    if column.kind == TEXT:
        return ConfigError(
            f"--where: a text and {named(value)} cannot be compared; write it in '…', as a text"
        )
    return no_comparison(column.named, named(value))


def exact_in(column: ComparedColumn, value: str | Decimal | bool) -> Fraction:
    """Return a written value in the units of a column: in its ticks, or in its last digit.

    Raises ConfigError if it is no value of that kind.
    """
    found: Fraction | None = None
    if column.kind == NUMBER and not isinstance(value, bool):
        number = number_in(value) if isinstance(value, str) else value
        found = None if number is None else exact(number) * 10 ** scale_of(column.values.type)
    elif isinstance(value, str) and column.kind != NUMBER:
        passed = moment_in(value) if column.kind == TIME else day_in(value)
        found = None if passed is None else passed / column.tick
    if found is None:
        raise _misfit(column, value)
    return found


def equal_values(column: ComparedColumn, value: str | Decimal | bool) -> list[Any]:
    """Return the values of a column that equal a written one: usually one, or none."""
    if column.kind not in (NUMBER, TIME, DATE) or column.is_float:
        plain = plain_in(column, value).as_py()
        return [0.0, -0.0] if column.is_float and plain == 0 else [plain]
    wanted = exact_in(column, value)
    lowest, highest = limits_of(column.values.type)
    if wanted.denominator != 1 or not lowest <= wanted <= highest:
        return []
    return [scalar_of(int(wanted), column.values.type).as_py()]


def scale_of(kind: pa.DataType) -> int:
    """Return how many digits of a number are behind its point."""
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def limits_of(kind: pa.DataType) -> tuple[int, int]:
    """Return the least and the greatest value of a type, in units of its last digit."""
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        return -most, most
    if pa.types.is_signed_integer(kind):
        half = 1 << (kind.bit_width - 1)
        return -half, half - 1
    return 0, (1 << kind.bit_width) - 1


def scalar_of(whole: int, kind: pa.DataType) -> pa.Scalar:
    """Return a value of a type, given in units of its last digit."""
    if not pa.types.is_decimal(kind):
        return pa.scalar(whole, kind)
    digits = tuple(map(int, str(abs(whole))))
    return pa.scalar(Decimal((int(whole < 0), digits, -kind.scale)), kind)
