"""From the name of a JSON member, and words about it, to a JSON schema.

A prompt says what it wants in words: `score: 0 to 1`, `"label": "spam" or "ham"`, `tags (list of
strings)`, or only a name, such as `is_urgent`.
"""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import functools
import re
from typing import Any

Schema = dict[str, Any]

_NUMBER = r"-?\d+(?:\.\d+)?"
# A range of numbers, but not the length of a text ("2 to 3 sentences") and no date.
_RANGE = re.compile(
    rf"(?<![\w.-])({_NUMBER})\s*(?:to|-|–|\.\.\.?|bis|and|und|through|à|<=?\s*\w+\s*<=?)\s*({_NUMBER})"
    r"(?!\d|[.-]\d|\s*(?:word|sentence|char|key|tag|item|line|para|wört|wort|sätz|satz|zeichen|mot))",
    re.IGNORECASE,
)
_ARRAY = re.compile(
    r"(?:an? )?(?:array|list|liste|tableau)\b(?:\s*(?:of|von|de)\b|\s*<)?\s*(.*)", re.I
)
_BRACKETED = re.compile(r"(\w+)\s*\[\s*\]")
_DATE_TIME = re.compile(r"\b(?:date-?time|timestamp|iso[- ]?8601)\b", re.IGNORECASE)
_DATE = re.compile(r"\b(?:date|datum|yyyy-mm-dd)\b|^\d{4}-\d\d-\d\d$", re.IGNORECASE)
_WHOLE = re.compile(r"\b(?:int|integer|whole number|ganzzahl|ganze zahl|entier)\b", re.IGNORECASE)
_TYPES: tuple[tuple[re.Pattern[str], Schema], ...] = (
    (re.compile(r"(?:an? )?(?:bool|boolean)\b|whether\b|true if\b|ob\b", re.I),
     {"type": "boolean"}),
    (re.compile(r"(?:an? |the )?(?:int|integer|whole number|number of|count of|how many|anzahl|"
                r"ganzzahl|ganze zahl|entier)\b", re.I), {"type": "integer"}),
    (re.compile(r"(?:an? |the )?(?:float|double|number|numeric|decimal|zahl|nombre|percentage)\b",
                re.I), {"type": "number"}),
    (re.compile(r"(?:an? )?(?:object|dict|map)\b", re.I), {"type": "object"}),
    (re.compile(r"(?:an? )?(?:str|string|text|varchar|zeichenkette|texte)\b", re.I),
     {"type": "string"}),
)  # fmt: skip
_NOT_A_CHOICE = re.compile(
    r"\b(?:an?|the|of|with|for|if|in|der|die|das)\s|[()]|\b(?:optional|required)\b", re.IGNORECASE
)
_WORDS_WITH_COMMAS = re.compile(r"[\w-]+(?:\s*,\s*[\w-]+)+")
_NULLABLE = re.compile(
    r"\s*(?:\||,|/|\bor\b|\boder\b)\s*(?:null|none|empty)\b|\(optional\)", re.IGNORECASE
)
_QUOTES = "\"'`“”‘’«»*"

# What a member of this name usually holds; the first pattern that fits counts.
_NAMES: tuple[tuple[re.Pattern[str], Schema], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), schema)
    for pattern, schema in (
        (r"(?:is|has|was|can|should|needs?|contains?)(?:_.*|[A-Z].*)|.*_(?:flag|bool)|valid",
         {"type": "boolean"}),
        (r".*(?:score|confidence|probability|likelihood|relevance|konfidenz)",
         {"type": "number", "minimum": 0, "maximum": 1}),
        (r".*(?:rating|stars|difficulty|bewertung|sterne)",
         {"type": "integer", "minimum": 1, "maximum": 5}),
        (r".*year|jahr", {"type": "integer", "minimum": 1990, "maximum": 2030}),
        (r"(?:.*_)?(?:count|quantity|qty|age|menge|alter|anzahl)|(?:num|number|n)_.*",
         {"type": "integer", "minimum": 0, "maximum": 100}),
        (r".*(?:amount|price|total|cost|betrag|preis|summe)(?:_\w{1,8})?",
         {"type": "number", "minimum": 0, "maximum": 1000}),
        (r".*_at|.*(?:timestamp|datetime)", {"type": "string", "format": "date-time"}),
        (r"(?:.*_)?(?:date|when|datum|day)", {"type": "string", "format": "date"}),
        (r"(?:.*_)?(?:tags|keywords|labels|topics|categories|entities|names|items|people|persons|"
         r"places|locations|organi[sz]ations|skills|steps|reasons|themes|schlagwörter|themen)",
         {"type": "array", "items": {"type": "string"}}),
    )
)  # fmt: skip


def schema_of_name(name: str) -> Schema:
    """Return what a member of this name usually holds; a string if the name says nothing."""
    for pattern, schema in _NAMES:
        if pattern.fullmatch(name):
            return dict(schema)
    return {"type": "string"}


@functools.lru_cache(maxsize=4096)
def _schema_of_hint(name: str, hint: str) -> Schema:
    text = _NULLABLE.sub("", hint).strip().strip("<>").strip()
    bare = text.strip(_QUOTES + " ")
    if not bare.strip(".…_ ?") or bare.lower() in ("null", "none", "value", "any"):
        return schema_of_name(name)
    bracketed, array = _BRACKETED.fullmatch(bare), _ARRAY.match(bare)
    if bracketed or array:
        inner = bracketed[1] if bracketed else (array[1] if array else "")
        item = _schema_of_hint(_singular(name), inner.strip().rstrip(">s")) if inner else None
        return {"type": "array", "items": item or {"type": "string"}}
    choices = _choices(text)
    if choices is not None:
        return choices
    if _DATE_TIME.search(bare):
        return {"type": "string", "format": "date-time"}
    if _DATE.search(bare):
        return {"type": "string", "format": "date"}
    return _number_in(bare) or _type_named(name, bare)


def schema_of_hint(name: str, hint: str) -> Schema:
    """Return the schema of a member by the words about it, or by its name if they say nothing."""
    return dict(_schema_of_hint(name, hint[:300]))


def choices_in(text: str) -> tuple[str, ...]:
    """Return the values that a text lists as alternatives, such as `a|b`, `"a" or "b"`, () if none.

    A list that begins with `one of` may have commas.
    """
    listed = re.match(
        r"(?:exactly )?(?:one of|eine?[rsm]? (?:von|der folgenden))\b\s*:?\s*(.*)", text, re.I
    )
    separators = r"\||\bor\b|\boder\b|\bou\b"
    if (
        listed
        or _WORDS_WITH_COMMAS.fullmatch(text.strip("()[]. "))
        or re.search(rf"[,\w\"']\s*(?:{separators})", text)
    ):
        separators += r"|,"
    body = (listed[1] if listed else text).strip("()[]. ")
    parts = re.split(separators, body)
    if len(parts) == 1 and re.fullmatch(r"[\w\"' -]+(?:/[\w\"' -]+)+", body):
        parts = body.split("/")
    values = [part.strip().strip(_QUOTES + " ") for part in parts]
    values = list(dict.fromkeys(value for value in values if value))
    fits = all(len(value.split()) <= 4 and not _NOT_A_CHOICE.search(value) for value in values)
    return tuple(values) if len(values) > 1 and fits else ()


def _choices(text: str) -> Schema | None:
    values = choices_in(text)
    if not values:
        return None
    if {value.lower() for value in values} == {"true", "false"}:
        return {"type": "boolean"}
    if all(re.fullmatch(_NUMBER, value) for value in values):
        numbers = [float(value) if "." in value else int(value) for value in values]
        return {"enum": numbers}
    types = [_type_of(value) for value in values]
    if None not in types:  # `string or number`
        return types[0]
    return {"type": "string", "enum": list(values)}


def _type_of(text: str) -> Schema | None:
    return next((dict(schema) for pattern, schema in _TYPES if pattern.fullmatch(text)), None)


def _number_in(text: str) -> Schema | None:
    found = _RANGE.search(text)
    if found is None or float(found[1]) >= float(found[2]):
        return None
    low, high = float(found[1]), float(found[2])
    is_whole = low.is_integer() and high.is_integer() and "." not in found[0].strip(".")
    if _WHOLE.search(text) or (is_whole and high - low > 1 and "float" not in text.lower()):
        return {"type": "integer", "minimum": int(low), "maximum": int(high)}
    return {"type": "number", "minimum": low, "maximum": high}


def _type_named(name: str, text: str) -> Schema:
    for pattern, schema in _TYPES:
        if pattern.match(text):
            guess = schema_of_name(name)
            is_number = schema["type"] in ("integer", "number")
            if is_number and guess["type"] in ("integer", "number"):
                return {**guess, "type": schema["type"]}
            return guess if guess["type"] == schema["type"] == "array" else dict(schema)
    return {"type": "string"}


def _singular(name: str) -> str:
    return name.removesuffix("s")
