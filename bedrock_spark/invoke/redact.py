"""Redact a message of the service: cut out what it quotes of a body.

Prompts belong in no error and in no report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

# A message and a body may share shorter runs of characters by chance; a longer run is a quote.
_MIN_QUOTE = 12
# A shorter text counts as quoted if the message has all of it, unless it is a word of the API, such
# as `user` or `text`.
_MIN_WHOLE_TEXT = 4
_API_WORD = re.compile(r"[a-z0-9_.-]*")
_MAX_MESSAGE = 300
_ELLIPSIS = "…"


def redact(message: str, body: bytes) -> str:
    """Return the first 300 characters of a message, with an ellipsis for each quote of the body.

    A quote is a run of 12 characters or more that is also in a text of the body, or the whole of a
    text of 4 characters or more.
    """
    shown = message[:_MAX_MESSAGE]
    texts = [t for t in _texts(msgspec.json.decode(body)) if len(t) >= _MIN_WHOLE_TEXT]
    kept: list[str] = []
    at = 0
    while at < len(shown):
        length = _quote_length(shown, at, texts)
        kept.append(_ELLIPSIS if length else shown[at])
        at += length or 1
    return "".join(kept) + (_ELLIPSIS if len(message) > len(shown) else "")


def _quote_length(message: str, at: int, texts: list[str]) -> int:
    """Return the length of the quote that begins at `at`; 0 if none begins there."""
    quoted = [t for t in texts if message[at : at + _MIN_QUOTE] in t]
    if at + _MIN_QUOTE > len(message) or not quoted:
        whole = [t for t in texts if message.startswith(t, at) and not _API_WORD.fullmatch(t)]
        return max(map(len, whole), default=0)
    end = at + _MIN_QUOTE
    while end < len(message) and any(message[at : end + 1] in text for text in quoted):
        end += 1
    return end - at


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value. Keys are left out: they are the API's words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
