"""The two forms of a value: as JSON of its own type, and as text inside a sentence.

docs/templates.md has a table of all Spark types. Values are Python objects, which
spark/prepare/arrow_columns.py makes from a column's Arrow data. A value without a JSON form raises
Unrenderable; its message gives the reason and never shows the value.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

NOT_UTF8 = "is not valid UTF-8 text"
_NOT_FINITE = "is not a finite number, which JSON cannot hold"


class Unrenderable(ValueError):  # noqa: N818 - a reason, as in RowRejected
    """The reason why a value cannot be rendered, in words that do not show the value."""


class Struct(dict[str, Any]):
    """A struct. In JSON its null fields are left out, while a map keeps its nulls.

    A struct has every field in every row, so a null is the only way to say that a field is absent.
    Spark's to_json leaves null fields out too.
    """


@dataclass(frozen=True)
class Unreadable:
    """Replaces a value that cannot be read, with the reason. Its row is rejected."""

    reason: str


def as_text(value: Any) -> str:
    """Return a value as text inside a sentence: text unchanged, the rest as JSON writes it.

    Raises Unrenderable, also for null.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise Unrenderable("is null")
    form = json_form(value)
    return form if isinstance(form, str) else _encoded(form).decode()


def as_json(value: Any) -> bytes:
    """Return a value as JSON of its own type. Raises Unrenderable."""
    return _encoded(json_form(value))


def _encoded(form: Any) -> bytes:
    try:
        return msgspec.json.encode(form)
    except UnicodeEncodeError:
        raise Unrenderable(NOT_UTF8) from None


def json_form(value: Any) -> Any:
    """Return a value as JSON types: numbers, texts, booleans, nulls, lists, objects.

    Raises Unrenderable, and TypeError for an unknown Python type.
    """
    form = _FORMS.get(type(value))
    if form is not None:
        return form(value)
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            return form(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def map_key_text(key: Any) -> str:
    """Return the text of a map's key. Two keys of one map never have the same text."""
    return as_text(key)


def _itself(value: Any) -> Any:
    return value


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise Unrenderable(_NOT_FINITE)
    return value


def _decimal(value: Decimal) -> msgspec.Raw:
    """Return a number with all its digits.

    Spark's literals (0.5) are decimals: as texts they would become numbers in quotes, which models
    refuse. Spark's to_json writes numbers too. A float would lose digits.
    """
    if not value.is_finite():
        raise Unrenderable(_NOT_FINITE)
    return msgspec.Raw(format(value, "f").encode())


def _timestamp(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


def _interval(value: dt.timedelta) -> str:
    """Return an ISO 8601 duration, such as P1DT2H3M4.5S."""
    sign, value = ("-", -value) if value < dt.timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    parts = [f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n]
    if seconds or fraction or not (days or parts):
        parts.append(f"{seconds}{fraction}S")
    return f"{sign}P{days}{'T' * bool(parts)}{''.join(parts)}"


def _base64(value: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(value).decode()


def _iso(value: dt.date | dt.time) -> str:
    return value.isoformat()


def _object(value: Mapping[Any, Any]) -> dict[str, Any]:
    if isinstance(value, Struct):
        return {k: json_form(v) for k, v in value.items() if v is not None}
    return {
        k if type(k) is str else map_key_text(k): v if type(v) is str else json_form(v)
        for k, v in value.items()
    }


def _array(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    return [v if type(v) is str else json_form(v) for v in value]


def _unreadable(value: Unreadable) -> Any:
    raise Unrenderable(value.reason)


# The order matters for subclasses: a bool is an int, a datetime is a date, a Struct is a dict.
_FORMS: dict[type, Callable[[Any], Any]] = {
    str: _itself,
    bool: _itself,
    int: _itself,
    type(None): _itself,
    float: _number,
    Decimal: _decimal,
    dt.datetime: _timestamp,
    dt.date: _iso,
    dt.time: _iso,
    dt.timedelta: _interval,
    bytes: _base64,
    bytearray: _base64,
    memoryview: _base64,
    Struct: _object,
    dict: _object,
    list: _array,
    tuple: _array,
    Unreadable: _unreadable,
}
