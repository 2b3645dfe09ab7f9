"""Find the reasoning in a text, by the tags that models put around it.

A tag is `<think>`, `</think>` and the like, in any case and with attributes; the names are in
`NAMES`. All names count as one: an opening tag is closed by the next closing tag. A closing tag
without an opening one closes reasoning that began with the text. An opening tag that is never
closed begins reasoning up to the end of the text. A tag between quotation marks or
backticks is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Span = tuple[int, int]

NAMES = (
    *("think", "thinking", "thought", "thoughts", "reason", "reasoning", "reasoning_content"),
    *("scratchpad", "scratch_pad", "reflect", "reflection", "reflections", "self_reflection"),
    *("rationale", "chain_of_thought", "cot", "monologue", "inner_monologue", "inner_thoughts"),
    *("internal_monologue", "antthinking"),
)
# A name may have a prefix, as in <seed:think>. Mistral's models write [THINK].
_TAG = re.compile(
    r"[<\[](/?)(?i:(?:[\w-]{1,20}:)?(?:" + "|".join(NAMES) + r")(?:\s[^<>]{0,200})?)[>\]]"
)
_IN_BRACKETS = ("[THINK]", "[/THINK]")
_QUOTES = frozenset("\"'`")


def reasoning_spans(text: str, values: Iterable[Span] = ()) -> list[Span]:
    """Return the parts of a text that are reasoning, tags included, in their order.

    values: parts of the text, in their order, in which a tag is no tag: it is inside a string
    """
    if "<" not in text and "THINK]" not in text:
        return []
    spans: list[Span] = []
    begun: int | None = None
    for tag in _tags_outside(text, values):
        if not tag[1]:
            begun = tag.start() if begun is None else begun
        else:
            if begun is None:
                spans.clear()
            spans.append((begun or 0, tag.end()))
            begun = None
    if begun is not None:
        spans.append((begun, len(text)))
    return spans


def _tags_outside(text: str, values: Iterable[Span]) -> Iterator[re.Match[str]]:
    rest = iter(values)
    start, stop = next(rest, (len(text), len(text)))
    for tag in _TAG.finditer(text):
        while stop <= tag.start():
            start, stop = next(rest, (len(text), len(text)))
        if not start <= tag.start() < stop and _is_tag(tag):
            yield tag


def _is_tag(tag: re.Match[str]) -> bool:
    """Tell whether the brackets are a pair and no quotation marks are around them."""
    before = tag.string[max(0, tag.start() - 2) : tag.start()]
    after = tag.string[tag.end() : tag.end() + 1]
    # Three backticks are no quotation: they begin or end a fenced block.
    is_quoted = after in _QUOTES and before.endswith(after) and before != after * 2
    is_pair = tag[0] in _IN_BRACKETS or (tag[0][0] == "<" and tag[0][-1] == ">")
    return is_pair and not is_quoted
