"""Find the JSON shape that a prompt wants its answer to have, among all that has brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.hints import Schema
from bedrock_emulator.answers.shape_reader import LABEL_NAME, ShapeText, read_shape

_MAX_SHAPE = 6_000  # characters
_MAX_CANDIDATES = 12
_OPENING = re.compile(r"\{|\[(?=\s*[\[{\"'<\w.])")
# Words before an object that say that it shows the answer, and not the input.
_SHOWS_ANSWER = re.compile(
    r"(?:json|format|schema|shape|structure|answer|reply|respon[ds]\w*|return|output|produce|like|"
    r"example|exactly|antwort\w*|ausgabe|gib|liefere|schreibe|réponds|label|result|assistant|"
    r"->|=>|→)\W*(?:\w+\W+){0,6}$",
    re.IGNORECASE,
)
_SHOWS_INPUT = re.compile(
    r"\b(?:input|row|record|data|ticket|text|document|from|about|eingabe|zeile|datensatz)\s*\d*\s*:"
    r"?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Shape:
    """A shape that a text shows.

    spans: where it is in the text, and where examples of the same keys are
    shows_answer: whether the words before it say that the answer looks like this
    """

    schema: Schema
    spans: tuple[tuple[int, int], ...]
    shows_answer: bool


def find_shape(text: str) -> Shape | None:
    """Return the shape that a text shows, or None. Several examples of an answer are one shape."""
    found = []
    position = 0
    for _ in range(_MAX_CANDIDATES):
        opening = _OPENING.search(text, position)
        if opening is None:
            break
        start = opening.start()
        end = _end_of(text, start)
        read = read_shape(text[start:end]) if end else None
        if read is None or not end:
            position = start + 1
            continue
        before = text[max(0, start - 100) : start]
        shows_answer = bool(_SHOWS_ANSWER.search(before)) and not _SHOWS_INPUT.search(before)
        found.append((shows_answer, read, (start, end)))
        position = end
    best = max(found, key=_rank, default=None)
    if best is None or _rank(best) == 0:
        return None
    same = [item for item in found if item[0] and _keys(item[1].schema) == _keys(best[1].schema)]
    schema = _merged([item[1].example for item in same], best[1].schema)
    return Shape(schema, tuple(item[2] for item in same) or (best[2],), best[0])


def _rank(found: tuple[bool, ShapeText, tuple[int, int]]) -> int:
    shows_answer, read, _ = found
    is_object = read.schema.get("type") != "array" or "items" in read.schema
    return (2 * read.is_pattern + shows_answer) if is_object and (read.keys or shows_answer) else 0


def _keys(schema: Schema) -> frozenset[str]:
    return frozenset(schema.get("properties", ()))


def _end_of(text: str, start: int) -> int | None:
    """Return the position after the bracket that closes the one at `start`, or None."""
    depth = 0
    for sign in re.finditer(r"[\[\]{}]|\"(?:[^\"\\\n]|\\.)*\"", text[start : start + _MAX_SHAPE]):
        if sign[0] in "{[":
            depth += 1
        elif sign[0] in "}]":
            depth -= 1
            if depth == 0:
                return start + sign.end()
    return None


def _merged(examples: list[Any], schema: Schema) -> Schema:
    """Return the schema of several examples: short texts of labels are the values to choose from.

    Other members are as in the first example.
    """
    examples = [example for example in examples if isinstance(example, dict)]
    if len(examples) < 2:
        return schema
    properties = dict(schema.get("properties", {}))
    for name, member in properties.items():
        values = list(dict.fromkeys(str(example.get(name)) for example in examples))
        is_label = LABEL_NAME.search(name) or len(values) < len(examples)
        if member == {"type": "string"} and is_label and all(len(v.split()) <= 3 for v in values):
            properties[name] = {"type": "string", "enum": values}
    return {**schema, "properties": properties}
