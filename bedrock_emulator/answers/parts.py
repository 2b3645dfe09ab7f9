"""The parts of a prompt: the instruction, and the row that it is about.

They can be in any order: the instruction is the first paragraph, the last, or both; or the row
begins on the line of the instruction, after a colon.
"""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

# Marks of prompt templates: Llama, Mistral, DeepSeek, Claude's first format.
_MARKS = re.compile(
    r"<\|start_header_id\|>\w+<\|end_header_id\|>|<\|[^|>\n]{1,40}\|>|<｜[^｜\n]{1,40}｜>|"
    r"\[/?INST\]|</?s>|<</?SYS>>|\n\n(?:Human|Assistant):|<think>\s*$"
)
_HAS_MARKS = ("<|", "<think>", "[INST]", "<｜", "\n\nHuman:")
_PARAGRAPH = re.compile(r"(?:[^\n]|\n(?!\s*\n))+")
# How a paragraph begins that instructs, and is not the row.
_INSTRUCTS = re.compile(
    r"\W*(?:please |bitte |now |then |only |just )?(?:"
    # These begin instructions, hardly ever a text.
    r"classif|categori[sz]|label|answer|reply|respond|choose|pick|decide|determine|select|rate\b|"
    r"extract|summari|translat|say\b|tell|describe|explain|identif|"
    r"your (?:answer|task|output|reply)|"
    r"json|which|what|who|how|is\b|are\b|does\b|"
    r"the (?:answer|output|labels|categories|options|possible|"
    r"allowed|following)|(?:possible|allowed|valid) |categories|options\b|topics|intents|"
    r"based on|given the|using the|according to|"
    r"klassifizier|kategori|antworte|ordne|wähle|entscheide|bewerte|extrahiere|fasse|übersetze|"
    r"mögliche|welche|ist\b|classe|réponds|choisis|"
    # These do if the sentence is about the form of the answer.
    r"(?:return|output|give|produce|list|find|write|use|format|name|score|gib|liefere)\b[^.\n]{0,60}?"
    r"(?:json|label|categor|one of|answer|keys|fields|[{\[]|\d\s*(?:to|-)\s*\d))",
    re.IGNORECASE,
)
_BELONGS_TO_COLON = re.compile(r"\s*(?:[-*•{\[`]|\d{1,2}[.)])")
_TAGGED = re.compile(r"<(\w[\w-]*)>\s*(.*?)\s*</\1>", re.DOTALL)
_HEADING = re.compile(r"\s*\w[^\n:.?!{]{0,30}:(?=\s)\s*")
_ENDING = re.compile(r"\s*\n\s*\w[\w ]{0,20}:\s*$")
_BOUNDARY = re.compile(r"[.:?!](?=\s|$)|\n")
_LONG_ROW_LINES = 3


def plain(text: str) -> str:
    """Return a text without the marks of prompt templates."""
    if any(mark in text for mark in _HAS_MARKS):
        text = _MARKS.sub("\n\n", text)
    return text.strip()


def instruction_of(text: str) -> str:
    """Return a text with blanks in the place of the paragraphs that are no instruction.

    So positions stay the same. The first paragraph always counts as instruction.
    """
    if "\n\n" not in text:
        return text
    kept: list[str] = []
    end, has_colon = 0, False
    for paragraph in _PARAGRAPH.finditer(text):
        is_first = not kept and end == 0
        follows = has_colon and _BELONGS_TO_COLON.match(paragraph[0])
        has_colon = False
        if is_first or follows or _INSTRUCTS.match(paragraph[0]):
            kept.append(
                "\n\n".ljust(paragraph.start() - end) + paragraph[0] if end else paragraph[0]
            )
            has_colon = paragraph[0].rstrip().endswith(":")
            end = paragraph.end()
    return "".join(kept)


def instructs(text: str) -> bool:
    """Tell whether a text begins like an instruction or a question."""
    return _INSTRUCTS.match(text) is not None


def split_row(text: str, spans: Sequence[tuple[int, int]]) -> tuple[str, str]:
    """Return the instruction and the row of a text; the row is "" if there is none.

    spans: where the text says how to answer, which is part of the instruction
    """
    if "</" in text:
        tags = [m for m in _TAGGED.finditer(text) if not _overlaps(m.span(), spans)]
        if tags:
            tag = max(tags, key=lambda match: len(match[2]))
            return f"{text[: tag.start()]} {text[tag.end() :]}", tag[2]
    if not spans:
        return _split_first_line(text)
    start, end = min(s for s, _ in spans), max(e for _, e in spans)
    row_start = _start_after(text, end)
    if row_start is not None:
        return text[:row_start], text[row_start:]
    before = text[:start].rstrip()
    if "\n\n" in before:
        paragraphs = before.split("\n\n")
        last, rest = paragraphs[-1], paragraphs[:-1]
        if len(rest) > 1 and _INSTRUCTS.match(rest[0]):
            return f"{rest[0]}\n{last}{text[start:]}", "\n\n".join(rest[1:])
        return f"{last}{text[start:]}", "\n\n".join(rest)
    boundary = max((m.end() for m in _BOUNDARY.finditer(before)), default=0)
    if text[start:end].lstrip().startswith(("{", "[")) and "\n" in before:
        boundary = before.rfind("\n")
    row = before[:boundary].strip()
    return (f"{before[boundary:]}{text[start:]}", row) if row else (text, "")


def _start_after(text: str, end: int) -> int | None:
    """Return where the row begins that follows the instruction, None if nothing follows it.

    The rest of the instruction's sentence is left out. So are sentences after it, if the row is a
    paragraph of its own or has a heading.
    """
    if text[end - 1 : end] in ("\n", ".", ":"):
        end -= 1
    boundary = _BOUNDARY.search(text, end)
    if boundary is None:
        return None
    after = boundary.end()
    paragraph = text.find("\n\n", end)
    if paragraph >= 0 and _has_words(text[paragraph:]):
        between = text[after:paragraph]
        if not _HEADING.match(between) or _INSTRUCTS.match(between):
            return paragraph
    return after if _has_words(text[after:]) else None


def _has_words(text: str) -> bool:
    """Tell whether a text is more than the heading of the answer, such as `Answer:`."""
    text = _without_ending(text)
    return any(letter.isalnum() for letter in text)


def _without_ending(text: str) -> str:
    """Return a text without the heading of the answer at its end, such as `Answer:`."""
    text = text.strip()
    return _ENDING.sub("", f"\n{text}").strip() if text.endswith(":") else text


def _split_first_line(text: str) -> tuple[str, str]:
    for mark in ("\n\n", "\n"):
        first, found, rest = text.partition(mark)
        if found and _has_words(rest):
            return first, rest
    heading = re.match(r"([^\n:]{3,200}):\s+(\S.*)", text, re.DOTALL)
    return (heading[1], heading[2]) if heading else (text, "")


def _overlaps(span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in spans)


def unwrapped(row: str) -> str:
    """Return the text of a row: without its heading and quotes; the values, if it is JSON."""
    row = _without_ending(row)
    if row.count("\n") < _LONG_ROW_LINES:
        heading = _HEADING.match(row)
        row = row[heading.end() :] if heading else row
    row = row.strip("`\"'\n ")
    if row.startswith(("{", "[")):
        try:
            value = json.loads(row)
        except (ValueError, RecursionError):
            return row
        return "\n".join(sorted(_strings(value), key=len, reverse=True)) or row
    return row


def _strings(value: Any, depth: int = 0) -> list[str]:
    if isinstance(value, str):
        return [value]
    if depth > 5 or not isinstance(value, dict | list):
        return []
    items = list(value.values()) if isinstance(value, dict) else value
    return [text for item in items for text in _strings(item, depth + 1)]
