"""Cut out of a message what it quotes of a body: prompts belong in no error and in no report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

# What a message and a body have in common by chance is shorter than this; a quote is longer.
_SHORTEST_QUOTE = 12
# A shorter text is a quote where it is whole and no word of the API's, such as `user` or `text`.
_SHORTEST_WHOLE = 4
_API_WORD = re.compile(r"[a-z0-9_.-]*")
_LONGEST_MESSAGE = 300
_CUT = "…"


def redact(message: str, body: bytes) -> str:
    """Return the message, of bounded length, with an ellipsis for each quote of the body's text.

    A quote is a run of 12 characters or more that stands in a text of the body, too, or the whole
    of a shorter text.
    """
    shown = message[:_LONGEST_MESSAGE]
    texts = [t for t in _texts(msgspec.json.decode(body)) if len(t) >= _SHORTEST_WHOLE]
    kept: list[str] = []
    at = 0
    while at < len(shown):
        length = _quoted(shown, at, texts)
        kept.append(_CUT if length else shown[at])
        at += length or 1
    return "".join(kept) + (_CUT if len(message) > len(shown) else "")


def _quoted(message: str, at: int, texts: list[str]) -> int:
    """Return how many characters from here on are a quote; 0 where none begins."""
    found = [t for t in texts if message[at : at + _SHORTEST_QUOTE] in t]
    if at + _SHORTEST_QUOTE > len(message) or not found:
        wholes = [t for t in texts if message.startswith(t, at) and not _API_WORD.fullmatch(t)]
        return max(map(len, wholes), default=0)
    end = at + _SHORTEST_QUOTE
    while end < len(message) and any(message[at : end + 1] in text for text in found):
        end += 1
    return end - at


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value; keys are the API's words, not the user's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
