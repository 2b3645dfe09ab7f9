"""Values that are written in a condition: numbers and times of any size, without rounding."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from decimal import Decimal
from fractions import Fraction

Written = str | Decimal | bool | None

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
# A number with more digits in front of the point is beyond every type; with more zeros behind it,
# it is next to 0.
_MOST_DIGITS = 400
# A time with a fraction of a second: what is in front of it, its digits, the zone.
_FRACTION = re.compile(r"(.*:\d\d)[.,]([0-9]+)(.*)", re.DOTALL)
_EPOCH = dt.datetime(1970, 1, 1)
NANOSECONDS = 10**9
DAY = 86_400 * NANOSECONDS


def number_in(text: str) -> Decimal | None:
    """Return the number that a text is; None if it is none."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except decimal.InvalidOperation:  # its exponent has twenty digits
        return None


def float_in(text: str) -> float | None:
    """Return the float that a text is, which may be `NaN` or `Infinity`; None if it is none."""
    bare = text.strip().lower()
    special = _SPECIAL.get(bare.lstrip("+-")) if len(bare) - len(bare.lstrip("+-")) <= 1 else None
    if special is not None:
        return -special if bare.startswith("-") else special
    number = number_in(text)
    return None if number is None else float(number)


def exact(number: Decimal) -> Fraction:
    """Return a number exactly; one that is beyond every type, or next to 0, as another such one."""
    if not number:
        return Fraction(0)
    if abs(number.adjusted()) > _MOST_DIGITS:
        power = _MOST_DIGITS if number.adjusted() > 0 else -_MOST_DIGITS
        return Fraction(10) ** power * (-1 if number.is_signed() else 1)
    return Fraction(number)


def moment_in(text: str) -> Fraction | None:
    """Return the nanoseconds from 1970 to the time that a text is, in UTC; None if it is none.

    Without a zone, it is a time in UTC.
    """
    found = _FRACTION.fullmatch(text.strip())
    whole, digits = (f"{found[1]}{found[3]}", found[2]) if found else (text.strip(), "0")
    try:
        moment = dt.datetime.fromisoformat(whole)
    except ValueError:
        return None
    offset = moment.utcoffset() or dt.timedelta()
    passed = (moment.replace(tzinfo=None) - _EPOCH - offset) // dt.timedelta(microseconds=1)
    part = Fraction(Decimal(f"0.{digits}")) * NANOSECONDS
    return Fraction(passed * 1_000) + part


def day_in(text: str) -> Fraction | None:
    """Return the nanoseconds from 1970 to the day that a text is; None if it is none."""
    try:
        day = dt.date.fromisoformat(text.strip())
    except ValueError:
        return None
    return Fraction((day - _EPOCH.date()).days * DAY)


def truth_in(text: str) -> bool | None:
    """Return what `true` or `false` says; None if a text is neither."""
    return {"true": True, "false": False}.get(text.strip().lower())
