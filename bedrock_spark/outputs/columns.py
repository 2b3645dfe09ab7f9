"""Read decoded JSON as typed columns, or say why it does not fit.

An absent or null member becomes null; if its column is NOT NULL, the value does not fit. Members
without a column are ignored. Types are those of JSON, with what models write in addition: 3 and 3.0
fit int, float and double alike; a string that is a number in JSON's form fits a column of numbers;
NaN fits float and double; "true" and "false" fit boolean; a string that is JSON as a whole fits an
array, a map or a struct if it holds one. Nothing else is converted. A date is a string like
2026-11-22. A timestamp is a string in ISO 8601; without an offset it is in UTC. A reason names
columns and types. It never contains text of the answer.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bedrock_spark.outputs.json_values import NUMBER, decode
from bedrock_spark.outputs.lines import whole_characters
from bedrock_spark.schema import ARRAY, MAP, STRUCT, Field, Kind

# The largest finite numbers of IEEE 754's 32-bit and 64-bit formats.
_LARGEST_FLOATS = {"float": 3.4028235e38, "double": sys.float_info.max}
# An n-bit integer is at least -2^(n-1) and less than 2^(n-1).
_INTEGERS = {"tinyint": 2**7, "smallint": 2**15, "int": 2**31, "bigint": 2**63}
_BOOLEANS = {"true": True, "false": False}
_NUMBER = re.compile(rf"\s*({NUMBER})\s*")
# Longer numbers do not fit any column, and Python refuses to convert some of them.
_LONGEST_NUMBER = 400

Read = Callable[[Any], Any]


class Misfit(Exception):  # noqa: N818 - not an error: an outcome, which Parsed holds as text
    """A value does not fit; the message says why."""


def reader_of(fields: tuple[Field, ...]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function that reads an object as values by column. It raises Misfit."""
    return _members(fields)


def _members(fields: tuple[Field, ...]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    readers = [(field.name, _reader(field.kind), field.required) for field in fields]

    def read(value: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, read_one, required in readers:
            item = value.get(name)
            if item is None and required:
                raise Misfit(f"{name}: is {'null' if name in value else 'missing'}")
            values[name] = None if item is None else _read_at(name, read_one, item)
        return values

    return read


def _read_at(name: str, read: Read, value: Any) -> Any:
    """Read a value. A misfit's reason gets its path in front: `a.b[0]: is a string, not …`."""
    try:
        return read(value)
    except Misfit as exc:
        reason = str(exc)
        # The reason begins with an index, with "is …" if the value itself does not fit, or with the
        # name of a member.
        joint = "" if reason.startswith("[") else ": " if reason.startswith("is ") else "."
        raise Misfit(f"{name}{joint}{reason}") from None


def _reader(kind: Kind) -> Read:
    if kind.name == STRUCT:
        members = _members(kind.fields)
        return lambda value: members(_opened(value, dict, kind))
    if kind.name in (ARRAY, MAP):
        assert kind.item is not None
        item = _reader(kind.item)
        return _array(item, kind) if kind.name == ARRAY else _map(item, kind)
    if kind.name in _INTEGERS:
        return _integer(_INTEGERS[kind.name], kind)
    simple: dict[str, Read] = {
        "string": lambda value: _checked(value, str, kind),
        "boolean": lambda value: _checked(_boolean(value), bool, kind),
        "float": lambda value: _float(value, kind),
        "double": lambda value: _float(value, kind),
        "date": lambda value: _date(_checked(value, str, kind)),
        "timestamp": lambda value: _timestamp(_checked(value, str, kind)),
    }
    return simple[kind.name]


def _array(item: Read, kind: Kind) -> Read:
    def read(value: Any) -> Any:
        items = enumerate(_opened(value, list, kind))
        return [None if v is None else _read_at(f"[{i}]", item, v) for i, v in items]

    return read


def _map(item: Read, kind: Kind) -> Read:
    def read(value: Any) -> Any:
        # A key is text of the answer, so a reason must not contain it.
        items = _opened(value, dict, kind).items()
        return [(k, None if v is None else _read_at("[…]", item, v)) for k, v in items]

    return read


def _integer(end: int, kind: Kind) -> Read:
    def read(value: Any) -> int:
        value = _number(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        number: int = _checked(value, int, kind)
        if not -end <= number < end:
            raise Misfit(f"is a number too large for {kind.name}")
        return number

    return read


def _opened(value: Any, expected: type, kind: Kind) -> Any:
    """Return an array or an object, also if it is written as a string inside the JSON."""
    if type(value) is str:
        inner = decode(whole_characters(value))
        value = inner if type(inner) is expected else value
    return _checked(value, expected, kind)


def _boolean(value: Any) -> Any:
    """Return the boolean that a string is. Return any other value unchanged."""
    return _BOOLEANS.get(value.strip().lower(), value) if type(value) is str else value


def _number(value: Any) -> Any:
    """Return the number that a string is. Return any other value unchanged."""
    if type(value) is not str or len(value) > _LONGEST_NUMBER:
        return value
    match = _NUMBER.fullmatch(value)
    return json.loads(match[1]) if match is not None else value


def _float(value: Any, kind: Kind) -> float:
    value = _number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    number: float = _checked(value, float, kind)
    if abs(number) > _LARGEST_FLOATS[kind.name]:
        raise Misfit(f"is a number too large for {kind.name}")
    return number


def _date(text: str) -> dt.date:
    try:
        if len(text) == len("2026-11-22"):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise Misfit("is a string, not a date like 2026-11-22")


def _timestamp(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
        has_offset = moment.utcoffset() is not None
        return moment.astimezone(dt.UTC) if has_offset else moment.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise Misfit("is a string, not a timestamp like 2026-11-22T10:30:00Z") from None


def _checked(value: Any, expected: type, kind: Kind) -> Any:
    """Return the value if it has the expected type; raise Misfit if not."""
    # Not isinstance: in Python, True is an int.
    if type(value) is not expected:
        raise Misfit(f"is {_NAMES.get(type(value), 'null')}, not {_KINDS[expected]} ({kind.name})")
    return value


# What a column expects, and what a value is: 3.0 and 3 are both "a number".
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "an object",
}
_NAMES = {**_KINDS, int: "a number"}
