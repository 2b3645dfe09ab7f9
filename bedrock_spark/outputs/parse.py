"""Read an answer's JSON as typed columns, or say why it does not fit.

The JSON is looked for in this order: the input of the first tool call; the whole text; if that is
not JSON, the blocks fenced by ```` ``` ````; the first object in the text. It must be an object
that has at least one of the columns. An object that is cut off is not completed by guessing.

An absent or null member becomes null; if its column is NOT NULL, the answer does not fit. Members
without a column are ignored. Types are those of JSON and nothing is converted: the string "3" is
not a number. But a whole number fits float and double, and 3.0 fits int. A date is a string like
2026-11-22. A timestamp is a string in ISO 8601; without an offset it is in UTC. A reason names
columns and types. It never contains text of the answer.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.lines import replace_half_characters
from bedrock_spark.schema import ARRAY, MAP, STRUCT, Field, Kind

_FENCED = re.compile(r"```[a-zA-Z0-9]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_OBJECT = re.compile(r'\{\s*"')
# The largest finite numbers of IEEE 754's 32-bit and 64-bit formats.
_LARGEST_FLOATS = {"float": 3.4028235e38, "double": sys.float_info.max}
# An n-bit integer is at least -2^(n-1) and less than 2^(n-1).
_INTEGERS = {"tinyint": 2**7, "smallint": 2**15, "int": 2**31, "bigint": 2**63}

Read = Callable[[Any], Any]


class Misfit(Exception):  # noqa: N818 - not an error: an outcome, which Parsed holds as text
    """An answer does not fit; the message says why."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of an answer in the order of the columns, or the reason why it does not fit."""

    values: tuple[Any, ...] | None
    reason: str | None = None


class AnswerParser:
    """Reads answers as columns."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._names = frozenset(field.name for field in fields)
        self._read = _members(fields)

    def parse(self, answer: Answer) -> Parsed:
        """Return the values of an answer, or the reason why it does not fit. Raises nothing."""
        try:
            members = self._object_in(answer)
            return Parsed(tuple(self._read(members).values()))
        except Misfit as exc:
            return Parsed(None, str(exc))
        except RecursionError:
            return Parsed(None, "the answer's JSON is nested too deeply")

    def _object_in(self, answer: Answer) -> Mapping[str, Any]:
        reasons = ["the answer has no text"]
        for reason, value in _candidates(answer):
            if isinstance(value, dict) and not self._names.isdisjoint(value):
                return value
            reasons.append(reason)
        raise Misfit(reasons[-1])


def _candidates(answer: Answer) -> Iterator[tuple[str, Any]]:
    """Yield the values that may be the object, most likely first, each after a reason.

    The reason holds if the value is not an object with one of the columns.
    """
    if answer.tool_input is not None:
        yield "the tool call has none of the columns", _decode(answer.tool_input)
    if not answer.text or answer.text.isspace():
        return
    text = _without_half_characters(answer.text)
    whole = _decode(text)
    yield "the answer's JSON has none of the columns", whole
    if whole is not _NOT_JSON:
        return
    for block in _FENCED.finditer(text):
        yield "the answer's JSON has none of the columns", _decode(block[1])
    yield from _first_object(text)


def _first_object(text: str) -> Iterator[tuple[str, Any]]:
    beginning = _OBJECT.search(text)
    if beginning is None:
        yield "the answer holds no JSON object", None
        return
    try:
        value, _ = _DECODER.raw_decode(text, beginning.start())
    except ValueError:
        yield "the answer's JSON object is cut off or broken", None
        return
    yield "the answer's JSON has none of the columns", value


class _NotJson:
    """The type of the marker for text that is not JSON. None would not do: it is JSON's null."""


_NOT_JSON = _NotJson()


def _not_a_number(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


_DECODER = json.JSONDecoder(parse_constant=_not_a_number)


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip())
    except ValueError:
        return _NOT_JSON


def _without_half_characters(text: str) -> str:
    """Replace lone surrogate escapes: a column holds UTF-8, which cannot encode them."""
    return replace_half_characters(text.encode()).decode() if "\\u" in text else text


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
        return lambda value: members(_checked(value, dict, kind))
    if kind.name in (ARRAY, MAP):
        assert kind.item is not None
        item = _reader(kind.item)
        return _array(item, kind) if kind.name == ARRAY else _map(item, kind)
    if kind.name in _INTEGERS:
        return _integer(_INTEGERS[kind.name], kind)
    simple: dict[str, Read] = {
        "string": lambda value: _checked(value, str, kind),
        "boolean": lambda value: _checked(value, bool, kind),
        "float": lambda value: _float(value, kind),
        "double": lambda value: _float(value, kind),
        "date": lambda value: _date(_checked(value, str, kind)),
        "timestamp": lambda value: _timestamp(_checked(value, str, kind)),
    }
    return simple[kind.name]


def _array(item: Read, kind: Kind) -> Read:
    def read(value: Any) -> Any:
        items = enumerate(_checked(value, list, kind))
        return [None if v is None else _read_at(f"[{i}]", item, v) for i, v in items]

    return read


def _map(item: Read, kind: Kind) -> Read:
    def read(value: Any) -> Any:
        # A key is text of the answer, so a reason must not contain it.
        items = _checked(value, dict, kind).items()
        return [(k, None if v is None else _read_at("[…]", item, v)) for k, v in items]

    return read


def _integer(end: int, kind: Kind) -> Read:
    def read(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        number: int = _checked(value, int, kind)
        if not -end <= number < end:
            raise Misfit(f"is a number too large for {kind.name}")
        return number

    return read


def _float(value: Any, kind: Kind) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    number: float = _checked(value, float, kind)
    if not abs(number) <= _LARGEST_FLOATS[kind.name]:
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
