"""A streamed answer: its chunks, as they come, to the parts that they add.

Reasoning that a model puts inside a tag at the head of its text is told from the text while the
pieces come. A tag may be cut in two by them, so what may be the beginning of one is held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from bedrock_spark.families.base import Answer, Family, Json, ReasoningTag, at, count_at

# Bedrock puts its own counts into the last chunk, whatever the model's own look like.
_METRICS = "amazon-bedrock-invocationMetrics"


def read_chunks(family: Family, chunks: Iterable[Json]) -> Iterator[Answer]:
    """Yield what each chunk adds, as an Answer whose other parts are None; counts are totals."""
    read = family.read_chunk
    if read is None:
        raise ValueError(f"models of the family {family.name} do not stream")
    parts = (part for chunk in chunks for part in (read(chunk), _metrics(chunk)))
    yield from _told_apart(parts, family.tag) if family.tag is not None else parts


def _metrics(chunk: Json) -> Answer:
    metrics = at(chunk, _METRICS)
    return Answer(
        input_tokens=count_at(metrics, "inputTokenCount"),
        output_tokens=count_at(metrics, "outputTokenCount"),
    )


def _told_apart(parts: Iterable[Answer], tag: ReasoningTag) -> Iterator[Answer]:
    pieces = _Pieces(tag)
    for part in parts:
        yield from pieces.add(part.text or "")
        yield msgspec.structs.replace(part, text=None)
    yield from pieces.finish()


class _Pieces:
    """Text that comes in pieces: first reasoning inside tags, if any, and then the answer."""

    def __init__(self, tag: ReasoningTag) -> None:
        self._opening, self._closing = f"<{tag.name}>", f"</{tag.name}>"
        self._may_be_open = tag.is_open
        self._is_reasoning = self._is_text = self._was_closed = False
        self._held = self._whole = ""

    def add(self, piece: str) -> Iterator[Answer]:
        """Yield what is certain now."""
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
        """Yield what was held back; what was taken for open reasoning and never ends is text."""
        if self._is_text:
            return
        if self._may_be_open and not self._was_closed:
            yield Answer(text=self._whole)
        elif self._is_reasoning:
            yield Answer(reasoning=self._held)
        else:
            yield Answer(text=self._held.lstrip("\r\n") if self._was_closed else self._held)

    def _begin(self) -> bool:
        """Find out what the held text begins with; tell whether that can be told yet."""
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
        """Yield the reasoning in the held text, up to its closing tag or to what may be one."""
        told, closed, after = self._held.partition(self._closing)
        kept = "" if closed else _beginning_of(self._closing, told)
        told = told.removesuffix(kept)
        if told:
            yield Answer(reasoning=told)
        self._held = after if closed else kept
        if closed:
            self._is_reasoning, self._was_closed = False, True


def _beginning_of(tag: str, text: str) -> str:
    """Return the longest end of a text that a tag begins with."""
    ends = (tag[:length] for length in range(len(tag) - 1, 0, -1))
    return next((end for end in ends if text.endswith(end)), "")
