"""Streamed answers: for each chunk, as it arrives, the parts that it adds.

Some models put their reasoning inside a tag at the start of their text. A state machine separates
it from the text while the pieces arrive. A tag may be cut in two by the chunks, so text that may be
the beginning of a tag is held back until the next piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from bedrock_spark.families.base import Answer, Family, ReasoningTag
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.usage import metrics_of


def read_chunks(family: Family, chunks: Iterable[Json]) -> Iterator[Answer]:
    """Yield what the chunks add, as Answers whose other parts are None.

    Token counts are totals so far. Raises ValueError if the family does not stream.
    """
    read = family.read_chunk
    if read is None:
        raise ValueError(f"models of the family {family.name} do not stream")
    parts = (part for chunk in chunks for part in (read(chunk), metrics_of(chunk)))
    yield from _separate_reasoning(parts, family.tag) if family.tag is not None else parts


def _separate_reasoning(parts: Iterable[Answer], tag: ReasoningTag) -> Iterator[Answer]:
    splitter = _ReasoningSplitter(tag)
    for part in parts:
        yield from splitter.add(part.text or "")
        yield msgspec.structs.replace(part, text=None)
    yield from splitter.finish()


class _ReasoningSplitter:
    """A state machine over pieces of text: reasoning inside tags, if any, and then the answer."""

    def __init__(self, tag: ReasoningTag) -> None:
        self._opening, self._closing = f"<{tag.name}>", f"</{tag.name}>"
        self._may_be_open = tag.is_open
        self._is_reasoning = self._is_text = self._was_closed = False
        self._held = self._whole = ""

    def add(self, piece: str) -> Iterator[Answer]:
        """Add a piece. Yield the text and the reasoning that are certain now."""
        if self._is_text:
            if piece:
                yield Answer(text=piece)
            return
        self._held += piece
        self._whole += piece
        while self._held:
            if not self._is_reasoning and not self._begin():
                return
            if self._is_text:
                yield Answer(text=self._held)
                return
            yield from self._reasoning()
            if self._is_reasoning:
                return

    def finish(self) -> Iterator[Answer]:
        """Yield the text that was held back.

        If reasoning may begin without an opening tag, and no closing tag came, the whole is text,
        although it was yielded as reasoning before.
        """
        if self._is_text:
            return
        if self._may_be_open and not self._was_closed:
            yield Answer(text=self._whole)
        elif self._is_reasoning:
            yield Answer(reasoning=self._held)
        else:
            yield Answer(text=self._held.lstrip("\r\n") if self._was_closed else self._held)

    def _begin(self) -> bool:
        """Decide what the held text begins with. Return False if that needs more text."""
        head = self._held.lstrip()
        if head.startswith(self._opening):
            self._is_reasoning, self._may_be_open = True, False
            self._held = head.removeprefix(self._opening)
        elif self._opening.startswith(head):
            return False
        elif self._may_be_open and not self._was_closed:
            self._is_reasoning = True
        else:
            self._is_text = True
            self._held = self._held.lstrip("\r\n") if self._was_closed else self._held
        return True

    def _reasoning(self) -> Iterator[Answer]:
        """Yield the reasoning in the held text, up to its closing tag or a possible start of it."""
        reasoning, closing, after = self._held.partition(self._closing)
        tail = "" if closing else _beginning_of(self._closing, reasoning)
        reasoning = reasoning.removesuffix(tail)
        if reasoning:
            yield Answer(reasoning=reasoning)
        self._held = after if closing else tail
        if closing:
            self._is_reasoning, self._was_closed = False, True


def _beginning_of(tag: str, text: str) -> str:
    """Return the longest proper prefix of `tag` that `text` ends with; "" if there is none."""
    prefixes = (tag[:length] for length in range(len(tag) - 1, 0, -1))
    return next((prefix for prefix in prefixes if text.endswith(prefix)), "")
