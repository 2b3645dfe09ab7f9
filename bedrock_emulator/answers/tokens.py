"""Count tokens. No model counts like this, but the counts are stable and of a realistic size."""

from __future__ import annotations

import re

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
