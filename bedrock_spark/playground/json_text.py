"""JSON that a person writes into a field: a request, tools, and so on."""

from __future__ import annotations

import json
import math
from typing import Any

from bedrock_spark.errors import ConfigError

# Far more than any request has. Beyond about 1,000, readers and writers of JSON give up.
MOST_LEVELS = 100


class _NotPlainError(ValueError):
    """The text has a value that not every reader of JSON takes."""


def read_json(text: str, name: str) -> Any:
    """Return the value of a JSON text.

    name: of the field, for messages
    Raises ConfigError, which quotes nothing of the text: if it is not JSON, if it has a number that
    is not finite or too large, half a character, or more than MOST_LEVELS levels.
    """
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=_float, parse_int=_int)
        _check(value)
    except _NotPlainError as exc:
        raise ConfigError(f"{name}: {exc}") from None
    except RecursionError:
        raise ConfigError(f"{name}: {_TOO_DEEP}") from None
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{name}: is not valid JSON (line {exc.lineno})") from None
    return value


_TOO_DEEP = f"has more than {MOST_LEVELS} lists and objects inside each other; write fewer levels"
_TOO_LARGE = "has a number that is too large, such as 1e999; the largest is about 1.8e308"


def _constant(name: str) -> Any:
    raise _NotPlainError(f"has {name}, which is not JSON; write a number or null")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NotPlainError(_TOO_LARGE)
    return value


def _int(text: str) -> int:
    # 309 digits: as large as a float may be. int() itself refuses more than 4,300.
    _float(text)
    return int(text)


def _check(value: Any) -> None:
    """Raise _NotPlainError for too many levels, and for a text that no bytes can hold."""
    left = [(value, 1)]
    while left:
        item, level = left.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict):
            for key in item:
                _check_text(key)
            left += [(each, level + 1) for each in item.values()]
        elif isinstance(item, list):
            left += [(each, level + 1) for each in item]
        if level > MOST_LEVELS and isinstance(item, (dict, list)):
            raise _NotPlainError(_TOO_DEEP)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NotPlainError("has half a character, such as \\ud800; write it whole") from None
