"""Find the complete JSON values in a text that has other text around them.

A value begins with `{` or `[`. It is complete if the JSON grammar reads it to its closing bracket.
A bracket that begins no complete value is text, and so is everything up to the place where the
grammar failed: what lies inside a value that is cut off or broken is no value of its own. The one
exception is the text of a string, because a quotation mark in prose begins no string: a value may
begin there.

The grammar is that of JSON, and in addition that which models write: raw line breaks in strings,
NaN, and a comma after the last member.

The scan is linear in the length of the text, also if many brackets begin nothing. Where it fails,
every bracket that is open begins no value: none of them is tried again. So a character is read at
most once as part of a string and once outside of one, plus once by the search for brackets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

_DECODER = json.JSONDecoder(strict=False)
_BRACKET = re.compile(r"[{\[]")
_WHITE_SPACE = " \t\n\r"
_SPACE = r"[ \t\n\r]*+"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_TOKEN = re.compile(
    rf"{_SPACE}(?:([{{}}\[\]:,])|({_STRING})|(?:{NUMBER}|true|false|null|NaN|-?Infinity))",
    re.DOTALL,
)
# Where a token fails: the end of the text, or a string that has none.
_CUT = re.compile(rf'{_SPACE}(?:\Z|")')


class NotJson:
    """The type of the marker for text that is not JSON. None would not do: it is JSON's null."""


NOT_JSON = NotJson()


@dataclass(frozen=True, slots=True)
class Found:
    """A complete value: `text[start:stop]` and what it decodes to."""

    start: int
    stop: int
    value: Any


@dataclass(slots=True)
class FoundValues:
    """The complete values of a text in their order, none of them inside another.

    is_broken: whether a bracket began a value that was cut off or broken
    characters: how many characters the scan read; the decoder in C reads others
    """

    values: list[Found] = field(default_factory=list)
    is_broken: bool = False
    characters: int = 0


def decode(text: str) -> Any:
    """Return the array or object that the whole text is.

    Return NOT_JSON if it is none, or is nested too deeply.
    """
    if not text.lstrip(_WHITE_SPACE).startswith(("{", "[")):
        return NOT_JSON
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        pass
    try:
        return _DECODER.decode(text.strip(_WHITE_SPACE))
    except (ValueError, RecursionError):
        return NOT_JSON


def find_values(text: str) -> FoundValues:
    """Return the complete values in a text. One that is nested too deeply counts as broken."""
    found = FoundValues()
    no_values: set[int] = set()
    inner: dict[int, int] = {}
    position = 0
    while (bracket := _BRACKET.search(text, position)) is not None:
        start = bracket.start()
        position = start + 1
        if start in no_values:
            continue
        if start in inner:
            position = inner[start]
            continue
        value = _decoded_at(text, start) if not no_values else None
        if value is None:
            value = _scanned_at(text, start, found, no_values, inner)
        if value is not None:
            found.values.append(value)
            position = value.stop
    return found


def _decoded_at(text: str, start: int) -> Found | None:
    """Return the value at a bracket, by the decoder in C, which does not say where it fails."""
    try:
        value, stop = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return Found(start, stop, value)


def _scanned_at(
    text: str, start: int, found: FoundValues, no_values: set[int], inner: dict[int, int]
) -> Found | None:
    """Return the value at a bracket. If there is none, note what need not be tried again.

    no_values: gets the brackets that were open where the grammar failed
    inner: gets the complete values inside them, as their ends by their starts
    """
    scan = _Scan(text, start)
    is_complete = scan.run()
    found.characters += scan.characters
    if is_complete:
        value = _decode_slice(text, start, scan.position, scan.extra_commas)
        if value is not NOT_JSON:
            return Found(start, scan.position, value)
        no_values.add(start)  # a number or an escape cannot be decoded, or it is too deep
        inner[start] = scan.position
    no_values.update(scan.open)
    inner.update(scan.closed)
    found.is_broken = found.is_broken or is_complete or scan.has_begun
    return None


def _decode_slice(text: str, start: int, stop: int, extra_commas: list[int]) -> Any:
    bounds = [start - 1, *extra_commas, stop]
    pieces = (text[a + 1 : b] for a, b in pairwise(bounds))
    return decode("".join(pieces))


# What the grammar expects next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END = range(6)


class _Scan:
    """Reads one value, token by token.

    open: the brackets that are open at `position`
    closed: the values inside them that are complete, as their ends by their starts
    extra_commas: the commas that stand before a closing bracket
    has_begun: whether the end of the text was reached, or a part of the value was read
    """

    def __init__(self, text: str, start: int) -> None:
        self.position = start
        self.open: list[int] = []
        self.closed: dict[int, int] = {}
        self.extra_commas: list[int] = []
        self.has_begun = False
        self.characters = 0
        self._text = text

    def run(self) -> bool:
        """Read up to the end of the value. Return False if the grammar fails before that."""
        expected = _VALUE
        comma = -1
        while True:
            token = _TOKEN.match(self._text, self.position)
            if token is None:
                is_cut = _CUT.match(self._text, self.position) is not None
                self.has_begun = self.has_begun or is_cut
                self.characters += len(self._text) - self.position if is_cut else 0
                return False
            self.characters += token.end() - self.position
            mark, string = token.group(1, 2)
            if mark is None:
                next_expected = self._after_scalar(expected, is_string=string is not None)
            elif mark in "{[":
                next_expected = self._opened(expected, mark, token.end() - 1)
            elif mark in "}]":
                next_expected = self._ended(expected, mark, token.end())
                if next_expected is not None and expected in (_VALUE, _KEY):
                    self.extra_commas.append(comma)
            else:
                next_expected = self._separated(expected, mark)
                comma = token.end() - 1
            if next_expected is None:
                return False
            self.position = token.end()
            self.has_begun = self.has_begun or next_expected == _COMMA_OR_END
            if not self.open:
                return True
            expected = next_expected

    def _after_scalar(self, expected: int, *, is_string: bool) -> int | None:
        if expected in (_VALUE, _VALUE_OR_END):
            return _COMMA_OR_END
        return _COLON if is_string and expected in (_KEY, _KEY_OR_END) else None

    def _opened(self, expected: int, mark: str, start: int) -> int | None:
        if expected not in (_VALUE, _VALUE_OR_END):
            return None
        self.open.append(start)
        return _KEY_OR_END if mark == "{" else _VALUE_OR_END

    def _ended(self, expected: int, mark: str, stop: int) -> int | None:
        if not self.open or expected == _COLON:
            return None
        is_object = self._text[self.open[-1]] == "{"
        # After a colon, a value must follow; after a comma, the bracket may close: an extra comma.
        after_colon = expected == _VALUE and is_object
        if is_object != (mark == "}") or after_colon:
            return None
        self.closed[self.open.pop()] = stop
        return _COMMA_OR_END

    def _separated(self, expected: int, mark: str) -> int | None:
        if mark == ":":
            return _VALUE if expected == _COLON else None
        if expected != _COMMA_OR_END:
            return None
        return _KEY if self._text[self.open[-1]] == "{" else _VALUE
