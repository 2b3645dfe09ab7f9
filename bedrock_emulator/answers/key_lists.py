"""Find the JSON that a prompt describes in words: `JSON with the keys label and score (0 to 1)`."""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import re
from dataclasses import dataclass

from bedrock_emulator.answers.hints import Schema, choices_in, schema_of_hint

_ASKED_FOR = re.compile(
    r"\b(?:answer|reply|respon[ds]\w*|return|output|give|produce|extract|write|format\w*|provide|"
    r"generate|as|in|a|an|valid|only|antworte\w*|gib|liefere|schreibe|als|ein|en|au|réponds)\b"
    r"[^.\n]{0,60}?\bjson\b",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?|members?|columns?|schlüsseln?|feldern?|"
    r"felder|attribut(?:e|en)?|champs|clés)\b(?: named| called| below)?\s*:?[ \t]*",
    re.IGNORECASE,
)
_WITH = re.compile(r"\bjson\b[^.\n:]{0,30}?\b(?:with|containing|having|of|mit|avec)\b\s*", re.I)
_ARRAY = re.compile(r"\bjson[- ]?(?:array|list|liste)\b|\b(?:array|list|liste) (?:of|von)\b", re.I)
_BULLET = re.compile(
    r"[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+[\"'`*]*(\w[\w-]{0,40})[\"'`*]*[ \t]*([^\n]*)(?:\n|$)"
)
_ITEM = re.compile(
    r"\s*(?:and |und |et |the |,\s*)*[\"'`“]?([A-Za-zÀ-ÿ_][\w-]{0,40})[\"'`”]?"
    r"\s*(?:\(([^()\n]*)\)|:[ \t]*([^,;.\n]*))?"
)
# The first key of a list that no word announces: `name (string), age (integer)`.
_TYPED = re.compile(
    r"[\"'`]?[A-Za-z_]\w{0,40}[\"'`]?\s*\((?:string|str|text|int|integer|number|float|bool|boolean|array|"
    r"list|date)\b",
    re.IGNORECASE,
)
_JOINT = re.compile(r"\s*(?:,\s*(?:and\b|und\b|et\b)?|;|\band\b|\bund\b|\bet\b|&)\s*")
_MAX_KEYS = 50


@dataclass(frozen=True)
class KeyList:
    """The schema that a text describes, and where."""

    schema: Schema
    span: tuple[int, int]


def asks_for_json(text: str) -> re.Match[str] | None:
    """Return where a text asks for JSON, None if it does not."""
    return _ASKED_FOR.search(text) if "json" in text.lower() else None


def find_keys(text: str) -> KeyList | None:
    """Return the object or array that a text describes, None if it does not ask for JSON."""
    asked = asks_for_json(text)
    if asked is None:
        return None
    for lead_pattern in (_ANNOUNCED, _WITH):
        for lead in lead_pattern.finditer(text):
            read = _bullets(text, lead.end()) or _inline(text, lead.end())
            if read is not None:
                keys, end = read
                is_list = _ARRAY.search(text, 0, lead.start())
                return KeyList(_object(keys, in_array=bool(is_list)), (asked.start(), end))
    typed = _TYPED.search(text)
    read = _inline(text, typed.start()) if typed else None
    if read is not None:
        start, end = min(asked.start(), read[1]), max(asked.end(), read[1])
        return KeyList(_object(read[0], in_array=False), (start, end))
    if _ARRAY.search(text):
        return KeyList({"type": "array", "items": {"type": "string"}}, asked.span())
    return None


def _object(keys: list[tuple[str, str]], *, in_array: bool) -> Schema:
    properties = {name: schema_of_hint(name, hint) for name, hint in keys}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "array", "items": schema} if in_array else schema


def _bullets(text: str, start: int) -> tuple[list[tuple[str, str]], int] | None:
    position = text.find("\n", start) + 1
    if position == 0 or len(text[start:position].strip()) > 20:
        return None
    while text[position : position + 1] == "\n":
        position += 1
    keys: list[tuple[str, str]] = []
    while (bullet := _BULLET.match(text, position)) and len(keys) < _MAX_KEYS:
        hint = bullet[2].strip()
        inside = re.fullmatch(r"\(([^()]*)\)\s*[:–-]?\s*(.*)", hint)
        if inside:
            # `(string): one of a, b`: what says more counts.
            says_more = inside[2] and not choices_in(inside[1])
            hint = inside[2] if choices_in(inside[2]) else hint if says_more else inside[1]
        keys.append((bullet[1], hint.lstrip(":–- ")))
        position = bullet.end()
    return (keys, position) if keys else None


def _inline(text: str, start: int) -> tuple[list[tuple[str, str]], int] | None:
    keys: list[tuple[str, str]] = []
    position = start
    while len(keys) < _MAX_KEYS:
        item = _ITEM.match(text, position)
        if item is None:
            break
        keys.append((item[1], (item[2] or item[3] or "").strip()))
        position = item.end()
        joint = _JOINT.match(text, position)
        if joint is None:
            break
        position = joint.end()
    ends_there = re.compile(r"\s*(?:[.:;!?\n]|$|from|for|aus|of\b)").match(text, position)
    is_list = len(keys) > 1 or (keys and text[start : start + 1] in "\"'`")
    return (keys, position) if is_list and ends_there else None
