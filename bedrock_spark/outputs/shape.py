"""The shape of a JSON value: its keys and types, without any of its values."""

from __future__ import annotations

import re
from typing import Any

_DEPTH = 3
_KEYS = 8
# A key may be text of an answer. One that looks like the name of a member is shown.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


def shape_of(value: Any, depth: int = _DEPTH) -> str:
    """Return the shape: `{"error": {"type": string}, "id": string}`, or `[number, …]`.

    Shows 8 keys of an object, the first item of an array, and what is up to three levels deep.
    """
    if isinstance(value, dict):
        return _object_shape(value, depth)
    if isinstance(value, list):
        if not value or not depth:
            return "[…]" if value else "[]"
        return f"[{shape_of(value[0], depth - 1)}{', …' if len(value) > 1 else ''}]"
    return _TYPES[type(value)]


def _object_shape(value: dict[str, Any], depth: int) -> str:
    if not value or not depth:
        return "{…}" if value else "{}"
    members = [f"{_name(key)}: {shape_of(value[key], depth - 1)}" for key in sorted(value)[:_KEYS]]
    return f"{{{', '.join(members)}{', …' if len(value) > _KEYS else ''}}}"


def _name(key: str) -> str:
    return f'"{key}"' if _NAME.fullmatch(key) else "…"
