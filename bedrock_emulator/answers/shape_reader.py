"""Read a shape of JSON, as people write it, as a JSON schema.

It is rarely JSON: `{"label": "spam" or "ham", "score": 0 to 1}`, `{name: string, tags: [string]}`
with comments, an example of an answer, or a JSON schema. It is read by recursive descent
(https://en.wikipedia.org/wiki/Recursive_descent_parser), leniently: what stands where a value
belongs, up to the next comma or bracket, is the words about that value.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.hints import Schema, choices_in, schema_of_hint, schema_of_name

_KEY = re.compile(r"\s*(?:([\"'`])([^\"'`\n]{1,60})\1|([A-Za-z_À-ÿ][\w À-ÿ-]{0,40}?))\s*\??\s*:")
_QUOTED = re.compile(r"\s*(?:\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)')\s*")
_COMMENT = re.compile(r"\s*,?[ \t]*(?://|#)[ \t]*([^\n]*)")
_WORDS = re.compile(r"(?:\([^()\n]*\)|\"[^\"\n]*\"|[^,;{}\[\]\n\"(/#]|/(?!/)|\[\s*\])*")
_DOTS = re.compile(r"[.…]+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
LABEL_NAME = re.compile(
    r"label|class|category|sentiment|intent|topic|kind|type|kategorie|klasse|stimmung",
    re.IGNORECASE,
)
# Values of labels that come in sets: an example of one of them stands for the set.
_LABEL_SETS = (
    ("positive", "negative", "neutral"),
    ("positiv", "negativ", "neutral"),
    ("spam", "ham"),
    ("yes", "no"),
    ("ja", "nein"),
    ("low", "medium", "high"),
)


@dataclass(frozen=True)
class ShapeText:
    """What a shape says.

    is_pattern: it has words about values, so it is no example and no input
    example: its values, if it is JSON; otherwise None
    """

    schema: Schema
    keys: int
    is_pattern: bool
    example: Any = None


@functools.lru_cache(maxsize=1024)
def read_shape(text: str) -> ShapeText | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and _is_schema(value):
        return ShapeText(value, 1, is_pattern=True)
    reader = _Reader(text)
    try:
        schema = reader.value("", top=True)
    except (_NotAShapeError, RecursionError):
        return None
    return ShapeText(schema, reader.keys, reader.is_pattern, value)


def _is_schema(value: dict[str, Any]) -> bool:
    kinds = ("object", "array")
    return isinstance(value.get("properties"), dict) or (
        value.get("type") in kinds and ("items" in value or "$defs" in value)
    )


class _NotAShapeError(Exception):
    """The text cannot be read as a shape."""


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.keys = 0
        self.is_pattern = False

    def value(self, name: str, *, top: bool = False) -> Schema:
        self._skip_space()
        sign = self._text[self._at : self._at + 1]
        if sign == "{":
            return self._object(top=top)
        if sign == "[":
            return self._array(name)
        return self._words(name)

    def _object(self, *, top: bool) -> Schema:
        self._at += 1
        self._skip_space()
        if top and self._text[self._at : self._at + 1] == "{":  # {{ … }}, as in a template
            inner = self._object(top=False)
            self._expect("}")
            return inner
        properties: dict[str, Schema] = {}
        last = ""
        while not self._ends("}"):
            comment = _COMMENT.match(self._text, self._at)
            if comment:
                self._at = comment.end()
                if last:
                    properties[last] = self._explained(last, properties[last], comment[1])
                continue
            dots = _DOTS.match(self._text, self._at)
            if dots:  # "and so on"
                self._at = dots.end()
                self._separator()
                continue
            key = _KEY.match(self._text, self._at)
            if key is None:
                raise _NotAShapeError
            self._at = key.end()
            self.keys += 1
            last = (key[2] or key[3]).strip()
            properties[last] = self.value(last)
            self._separator()
        return {"type": "object", "properties": properties, "required": list(properties)}

    def _explained(self, name: str, schema: Schema, words: str) -> Schema:
        """Return the schema of a member whose line ends with a comment."""
        self.is_pattern = True
        hinted = schema_of_hint(name, words)
        if hinted.get("enum") or hinted["type"] in ("integer", "number", "boolean"):
            if schema["type"] == "array":
                return {**schema, "items": hinted}
            return hinted if schema["type"] == "string" or "minimum" in hinted else schema
        return schema

    def _array(self, name: str) -> Schema:
        self._at += 1
        items: list[Schema] = []
        while not self._ends("]"):
            items.append(self.value(name.removesuffix("s")))
            self._separator()
        if not items:
            return {"type": "array", "items": {"type": "string"}}
        return {"type": "array", "items": items[0]}

    def _words(self, name: str) -> Schema:
        """Read what stands where a value belongs: a value, or words about it."""
        quoted = _QUOTED.match(self._text, self._at)
        rest = _WORDS.match(self._text, self._at)
        words = (rest[0] if rest else "").strip()
        if quoted and not words[len(quoted[0].strip()) :].strip():
            self._at = quoted.end()
            return self._string(name, quoted[1] if quoted[1] is not None else quoted[2] or "")
        if rest is None or not words:
            raise _NotAShapeError
        # `"a", "b" or "c"`: commas inside of alternatives are not seen, only the next ones are.
        self._at = rest.end()
        if _NUMBER.fullmatch(words):
            return _schema_of_number(name, words)
        if words in ("true", "false"):
            return {"type": "boolean"}
        if words == "null":
            return schema_of_name(name)
        self.is_pattern = True
        return schema_of_hint(name, words)

    def _string(self, name: str, words: str) -> Schema:
        hinted = schema_of_hint(name, words)
        if hinted["type"] != "string" or hinted.get("enum"):
            # `"tags": "..."` is a string, because it has quotes.
            if not words.strip(".…_ "):
                self.is_pattern = True
                return {"type": "string"}
            is_value = re.fullmatch(r"[\w:.+-]+", words) and not choices_in(words)
            self.is_pattern |= not is_value or words.lower() in _TYPE_NAMES
            return hinted
        is_placeholder = not words.strip(".…_ ") or words[0] in "<[" or "…" in words
        self.is_pattern |= is_placeholder or "..." in words or words.lower() in _TYPE_NAMES
        self.is_pattern |= " " in words and words[:1].islower() and len(words.split()) < 12
        for labels in _LABEL_SETS:
            if LABEL_NAME.search(name) and words.lower() in labels:
                return {"type": "string", "enum": _in_case_of(words, labels)}
        return hinted

    def _ends(self, sign: str) -> bool:
        self._skip_space()
        if self._at >= len(self._text):
            raise _NotAShapeError
        if self._text[self._at] == sign:
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._ends(sign):
            raise _NotAShapeError

    def _skip_space(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    def _separator(self) -> None:
        """Skip a comma or semicolon, if it is not in front of a comment about the last member."""
        self._skip_space_in_line()
        comment = _COMMENT.match(self._text, self._at)
        if comment is None and self._text[self._at : self._at + 1] in (",", ";"):
            self._at += 1

    def _skip_space_in_line(self) -> None:
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1


_TYPE_NAMES = frozenset(
    [
        "string",
        "str",
        "text",
        "number",
        "int",
        "integer",
        "float",
        "double",
        "boolean",
        "bool",
        "date",
        "value",
        "label",
    ]
)


def _in_case_of(example: str, labels: tuple[str, ...]) -> list[str]:
    if example.isupper():
        return [label.upper() for label in labels]
    return [label.capitalize() for label in labels] if example[0].isupper() else list(labels)


def _schema_of_number(name: str, number: str) -> Schema:
    """Return the schema of a member from an example of its value."""
    value = float(number)
    named = schema_of_name(name)
    if value == 0:  # no example of a value, only of its type
        whole = "." not in number
        number_named = named if named["type"] in ("integer", "number") else {"maximum": 100}
        return {"minimum": 0, **number_named, "type": "integer" if whole else "number"}
    if "." not in number:
        if named["type"] == "integer" and named["minimum"] <= value <= named["maximum"]:
            return named
        return {"type": "integer", "minimum": 0, "maximum": max(10, 2 * int(value))}
    if 0 <= value <= 1:
        return {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "number", "minimum": 0, "maximum": max(10.0, 2 * value)}
