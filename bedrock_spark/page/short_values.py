"""Requests and answers for a person: vectors and base64 images are cut to their beginning."""

from __future__ import annotations

import json
from typing import Any

# A list of plain values longer than this is a vector, a word longer than this is base64. Words of
# languages that are written without spaces are not ASCII.
_MAX_LIST, _MAX_WORD = 8, 200
_SHOWN_ITEMS, _SHOWN_CHARACTERS = 3, 40


def shortened(value: Any) -> Any:
    """Return a decoded request or answer with its vectors and its base64 images cut."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        is_vector = len(value) > _MAX_LIST and not isinstance(value[0], dict | list)
        if not is_vector:
            return [shortened(item) for item in value]
        return [*value[:_SHOWN_ITEMS], f"… {len(value) - _SHOWN_ITEMS:,} more"]
    return f"{value[:_SHOWN_CHARACTERS]}… {_more(value)}" if _is_base64(value) else value


def shortened_json(data: bytes) -> str:
    """Return JSON with its vectors and its base64 images cut; any other text as it is."""
    text = data.decode(errors="replace")
    try:
        return json.dumps(shortened(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _is_base64(value: Any) -> bool:
    is_long = isinstance(value, str) and len(value) > _MAX_WORD and value.isascii()
    return is_long and not any(map(str.isspace, value))


def _more(value: str) -> str:
    return f"{len(value) - _SHOWN_CHARACTERS:,} characters more"
