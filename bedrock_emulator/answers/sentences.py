"""Sentences for a prompt that wants no JSON and no label: they quote the prompt and its row."""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import re

from bedrock_emulator.answers.material import Material, cut_words
from bedrock_emulator.answers.wish import Wish

_OPENINGS = ("In short:", "Briefly:", "As asked:", "To answer this:")
_TRANSLATE = re.compile(r"\b(?:translat\w+|übersetz\w*|tradu\w+)\b", re.IGNORECASE)
_LANGUAGE = re.compile(r"\b(?:to|into|ins?|auf|en|au)\s+([A-ZÄÖÜ]?[\w]{4,12})\b", re.IGNORECASE)
_YES_NO = re.compile(
    r"(?:^|[.:]\s+|\n)(?:is|are|was|were|does|do|did|can|could|has|have|should|will|would|ist|sind|"
    r"hat|haben|kann|wird|soll)\b[^.\n]{3,200}\?",
    re.IGNORECASE,
)
_CAPITALISED = re.compile(r"(?<=[\w,] )([A-ZÄÖÜ][\w'’-]+(?:[ ][A-ZÄÖÜ\d][\w'’-]*)*)")
_ASKS_ABOUT = re.compile(r"\b(?:who|what|where|when|why|how|about|explain|describe)\b", re.I)
_SUBJECT = (
    re.compile(r"[\"“„«`']([^\"“”„«»`'\n]{2,60})[\"”“»`']"),
    re.compile(r"\b([A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)+)(?:\(\))?"),
    _CAPITALISED,
    re.compile(
        r"\b(?:what|who|where) (?:is|are|was) (?:an? |the )?([\w -]{3,40}?)\s*(?:\?|for\b|$)", re.I
    ),
)
_MOST_TRANSLATED = 150  # words
_COUNT = re.compile(
    r"\b(one|two|three|ein|zwei|drei|[123])(?:em|en)? (?:short )?(?:sent|satz|sätz|line|zeile)",
    re.I,
)
_NUMBERS = {"two": 2, "2": 2, "zwei": 2, "three": 3, "3": 3, "drei": 3}


def compose(wish: Wish, key: bytes) -> str:
    """Return some sentences. `key` draws what the prompt does not decide."""
    asked = f"{wish.system}\n{wish.question}"
    if _TRANSLATE.search(asked) and wish.row:
        return _translated(asked, wish.row)
    sentences = _about(wish, key)
    if _YES_NO.search(wish.question):
        return f"{'Yes' if key[1] % 2 else 'No'}. {sentences}"
    return sentences


def _translated(question: str, row: str) -> str:
    """Return the row behind the name of the language: nothing here can translate."""
    language = _LANGUAGE.search(question)
    name = language[1].capitalize() if language else "translated"
    return f"[{name}] {cut_words(row, _MOST_TRANSLATED)}"


def _subject(question: str) -> str | None:
    for pattern in _SUBJECT:
        found = pattern.search(question)
        if found and (pattern is not _CAPITALISED or _ASKS_ABOUT.search(question)):
            return found[1]
    return None


def _about(wish: Wish, key: bytes) -> str:
    subject, material = _subject(wish.question), Material(wish.row)
    if not material.words:
        asked = cut_words(" ".join((wish.question or wish.system).split()), 30)
        about = f" about {subject}" if subject else ""
        quoted = f' You asked: "{asked}"' if asked else ""
        return f"This is a made-up answer{about} of the local Bedrock.{quoted}"
    opening = f"{subject}:" if subject else _OPENINGS[key[0] % len(_OPENINGS)]
    wanted = _COUNT.search(wish.question)
    number = _NUMBERS.get(wanted[1].lower(), 1) if wanted else 1
    said = " ".join(_ended(cut_words(text, 40)) for text in material.sentences[:number])
    words = material.keywords[:3]
    if wanted or len(words) < 3 or key[2] % 2:
        return f"{opening} {said}"
    return f"{opening} {said} It is mostly about {words[0]}, {words[1]} and {words[2]}."


def _ended(sentence: str) -> str:
    return sentence if sentence[-1] in ".!?…" else f"{sentence.rstrip(' ,;:')}."
