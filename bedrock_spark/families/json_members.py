"""Read members of decoded JSON: the value at a path, None if it is not there or of another kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the members that are None, {} or []: an option that is not set is not sent."""
    return {k: v for k, v in values.items() if v is not None and v not in ({}, [])}


def at(value: Any, *path: str | int) -> Any:
    """Follow a path of keys and indexes. Return None if a step does not exist."""
    # Called several times per answer. Decoded JSON has only dict and list, and isinstance() is
    # slow for an abstract base class such as Mapping.
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str | None:
    """Return the string at a path, or None."""
    member = at(value, *path)
    return member if isinstance(member, str) else None


def count_at(value: Any, *path: str | int) -> int | None:
    """Return the whole number at a path, or None."""
    member = at(value, *path)
    return member if isinstance(member, int) and not isinstance(member, bool) else None


def joined_text(blocks: Any, *path: str) -> str | None:
    """Join the texts at a path (by default `text`) of content blocks. Return None if there is none.

    In a batch's output, Converse content blocks list every member of the union, the unused ones
    as null. So a null member counts as absent.
    """
    if not isinstance(blocks, list):
        return None
    # Runs for every answer. Most paths have one step, which needs no call of at().
    first, *rest = path or ("text",)
    members = (b.get(first) for b in blocks if isinstance(b, dict))
    texts = [t for t in (at(m, *rest) if rest else m for m in members) if isinstance(t, str)]
    return "".join(texts) if texts else None


def vector_at(value: Any, *path: str | int) -> tuple[float, ...] | None:
    """Return the list of numbers at a path as floats. Return None for any other value."""
    numbers = at(value, *path)
    if not isinstance(numbers, list) or not {float, int}.issuperset(map(type, numbers)):
        return None
    try:
        return tuple(map(float, numbers))
    except OverflowError:
        return None


def texts_at(value: Any, *path: str | int) -> tuple[str, ...]:
    """Return the strings of the list at a path; () if there is no list."""
    items = at(value, *path)
    return tuple(v for v in items if isinstance(v, str)) if isinstance(items, list) else ()


def first_at(blocks: Any, *path: str | int) -> Any:
    """Return the value at a path in the first block that has one there; None if no block has."""
    items = blocks if isinstance(blocks, list) else ()
    return next((v for v in (at(block, *path) for block in items) if v is not None), None)


def json_text(value: Any) -> str | None:
    """Return a tool call's input as JSON text. Some models send it as text, which is kept."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
