"""Count tokens. No model counts like this, but the counts are stable and of a realistic size."""

from __future__ import annotations

import json
import re
from typing import Any

# A token is at most six letters or digits, or one other sign. English text has about 4 characters
# per token.
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


def count_tokens(text: str) -> int:
    """Return the number of tokens in a text."""
    return len(_TOKEN.findall(text))


def first_tokens(text: str, limit: int) -> str:
    """Return the longest start of a text with at most `limit` tokens."""
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == limit:
            return text[: token.start()].rstrip()
    return text


def tokens_of_call(name: str, arguments: Any) -> int:
    """Return the output tokens of a tool call: those of its name and of its input as JSON."""
    return count_tokens(json.dumps(arguments)) + count_tokens(name)
