"""Values of any type as the texts and numbers that are compared."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

LARGEST_NUMBER = 1e100


def text_of(value: Any) -> str | None:
    """Return a value as the text that is compared. Numbers that are equal have equal texts."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = math.isfinite(value) and value.is_integer()
        return str(int(value)) if is_whole else repr(value)
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=text_of)
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat is not None else str(value)


def _plain_decimal(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def number_of(value: Any) -> float | None:
    """Return a value as a number; None if it is none. A text may be one, as in CSV.

    Numbers beyond LARGEST_NUMBER are none, because sums of them could overflow.
    """
    if value is None or isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) <= LARGEST_NUMBER else None


def number_text(text: str) -> str:
    """Return the text of a number without its form: `5.0` and `05` are `5`; another text as it is.

    Integers keep all their digits, which a float would round.
    """
    number = number_of(text)
    if number is None:
        return text
    if text.lstrip("+-").isdecimal():
        return str(int(text))
    return text_of(number) or text
