"""Say how two configs differ, key by key, without showing a prompt or a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedrock_spark.config.shown import is_hidden

_LONGEST_VALUE = 60


def changed_keys(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys in which two configs differ, with the old and the new value."""
    changes: dict[str, tuple[Any, Any]] = {}
    for section in now:
        old, new = recorded.get(section), now[section]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            keys = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
            changes |= {f"{section}.{key}": (old.get(key), new.get(key)) for key in keys}
        elif old != new:
            changes[section] = (old, new)
    return changes


def described(key: str, old: Any, new: Any, of: str = "the run") -> str:
    """Return a change in words: both values, or where they differ if they must not be shown.

    of: what has the old value
    """
    if not is_hidden(key, old) and not is_hidden(key, new):
        return f"{key} is {_shown(old, new)} in {of} and {_shown(new, old)} in this config"
    if isinstance(old, str) and isinstance(new, str):
        place = _first_difference(old, new)
        return f"{key} differs from character {place + 1} on"
    if None in (old, new) or [] in (old, new) or {} in (old, new):
        return f"{key} is set only in {'this config' if not old else of}"
    return f"{key} has other values"


def _shown(value: Any, other: Any) -> str:
    """Return a value, or its part around the first difference from another if it is long."""
    if value is None:
        return "not set"
    text, other_text = repr(value), repr(other)
    if len(text) <= _LONGEST_VALUE:
        return text
    start = max(0, _first_difference(text, other_text) - _LONGEST_VALUE // 2)
    end = start + _LONGEST_VALUE
    return f"{'…' * (start > 0)}{text[start:end]}{'…' * (end < len(text))}"


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
