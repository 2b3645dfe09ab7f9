"""Read an answer's JSON as typed columns, or say why it does not fit.

Where the JSON is, in this order: the first tool call's input; the whole text; a block fenced by
```` ``` ````; the first object in the text, whatever is around it. It must be an object that has at
least one of the columns. An object that is cut off is never guessed at.

What fits: a member that is absent or null is null, unless its column is NOT NULL; members without a
column are passed over. Strings, booleans, arrays and objects are what they are in JSON, and nothing
is converted: the text "3" is no number. A whole number fits float and double, and 3.0 fits int. A
date is text like 2026-11-22, a timestamp is ISO 8601 and in UTC without an offset. A reason names
columns and types and never holds a word of the answer.
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
from bedrock_spark.outputs.lines import whole_text
from bedrock_spark.schema import ARRAY, MAP, STRUCT, Field, Kind

_FENCED = re.compile(r"```[a-zA-Z0-9]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_OBJECT = re.compile(r'\{\s*"')
_FLOAT_ENDS = {"float": 3.4028235e38, "double": sys.float_info.max}
_INTEGERS = {"tinyint": 2**7, "smallint": 2**15, "int": 2**31, "bigint": 2**63}

Read = Callable[[Any], Any]


class Misfit(Exception):  # noqa: N818 - no error: an outcome, kept as such
    """An answer does not fit; the text says why."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of an answer, in the order of the columns; or the reason why there are none."""

    values: tuple[Any, ...] | None
    reason: str | None = None


class AnswerParser:
    """Reads answers as columns."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._names = frozenset(field.name for field in fields)
        self._read = _members(fields)

    def parse(self, answer: Answer) -> Parsed:
        """Return the values, or the reason. Raises nothing."""
        try:
            found = self._object_in(answer)
            return Parsed(tuple(self._read(found).values()))
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
    """Yield what may be meant, most likely first, with the reason if it is none of it."""
    if answer.tool_input is not None:
        yield "the tool call has none of the columns", _decoded(answer.tool_input)
    if not answer.text or answer.text.isspace():
        return
    text = _mended(answer.text)
    whole = _decoded(text)
    yield "the answer's JSON has none of the columns", whole
    if whole is not _NOT_JSON:
        return
    for block in _FENCED.finditer(text):
        yield "the answer's JSON has none of the columns", _decoded(block[1])
    yield from _first_object(text)


def _first_object(text: str) -> Iterator[tuple[str, Any]]:
    begins = _OBJECT.search(text)
    if begins is None:
        yield "the answer holds no JSON object", None
        return
    try:
        value, _ = _DECODER.raw_decode(text, begins.start())
    except ValueError:
        yield "the answer's JSON object is cut off or broken", None
        return
    yield "the answer's JSON has none of the columns", value


class _NotJson:
    """What stands for text that is not JSON, since null is JSON."""


_NOT_JSON = _NotJson()


def _not_a_number(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


_DECODER = json.JSONDecoder(parse_constant=_not_a_number)


def _decoded(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip())
    except ValueError:
        return _NOT_JSON


def _mended(text: str) -> str:
    """Replace escapes of half a character, which no column could hold."""
    return whole_text(text.encode()).decode() if "\\u" in text else text


def _members(fields: tuple[Field, ...]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    readers = [(field.name, _reader(field.kind), field.required) for field in fields]

    def read(value: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, read_one, required in readers:
            item = value.get(name)
            if item is None and required:
                raise Misfit(f"{name}: is {'null' if name in value else 'missing'}")
            found[name] = None if item is None else _at(name, read_one, item)
        return found

    return read


def _at(where: str, read: Read, value: Any) -> Any:
    """Read a value; a misfit in it tells where it is."""
    try:
        return read(value)
    except Misfit as exc:
        told = str(exc)
        joint = "" if told.startswith("[") else "." if _is_below(told) else ": "
        raise Misfit(f"{where}{joint}{told}") from None


def _is_below(told: str) -> bool:
    return not told.startswith("is ")


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
        return [None if v is None else _at(f"[{i}]", item, v) for i, v in items]

    return read


def _map(item: Read, kind: Kind) -> Read:
    def read(value: Any) -> Any:
        # A key is the model's own word, so a reason does not name it.
        items = _checked(value, dict, kind).items()
        return [(k, None if v is None else _at("[…]", item, v)) for k, v in items]

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
    if not abs(number) <= _FLOAT_ENDS[kind.name]:
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


def _checked(value: Any, wanted: type, kind: Kind) -> Any:
    """Return a value of the wanted type. True is no number, whatever Python says."""
    if type(value) is not wanted:
        raise Misfit(f"is {_NAMES.get(type(value), 'null')}, not {_KINDS[wanted]} ({kind.name})")
    return value


_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "an object",
}
_NAMES = {**_KINDS, int: "a number"}
