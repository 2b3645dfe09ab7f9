"""A count of tokens: not any model's own, but stable and of the right size."""

from __future__ import annotations

import re

# At most six letters or digits, or one other sign: English comes to about 4 characters a token.
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


def count_tokens(text: str) -> int:
    """Return the number of tokens in a text."""
    return len(_TOKEN.findall(text))


def first_tokens(text: str, limit: int) -> str:
    """Return the start of a text that has at most `limit` tokens."""
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == limit:
            return text[: token.start()].rstrip()
    return text
