"""Read what a prompt wants: JSON of some shape, one of some labels, a number, or sentences.

What says how to answer is looked for in the system prompt first, then in the instruction of the
last message.
"""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bedrock_emulator.answers.hints import Schema, schema_of_hint
from bedrock_emulator.answers.key_lists import asks_for_json, find_keys
from bedrock_emulator.answers.labels import Labels, find_labels, labels_of_examples
from bedrock_emulator.answers.parts import instruction_of, instructs, plain, split_row, unwrapped
from bedrock_emulator.answers.prompt import Prompt
from bedrock_emulator.answers.shapes import Shape, find_shape

_MOST_READ = 6_000  # characters at the head of a text; as many at its end count as the row
_RATING = re.compile(
    r"\b(?:rate|rating|score|grade|scale|number|stars?|bewerte|note|zahl|noter?)\b[^\n!?]{0,80}?"
    r"(?<!\d)\d+\s*(?:\([^()\n]*\)\s*)?(?:to|-|–|bis|and|und|à)\s*\d+",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\([^()\n]*\)")
_LABEL_KEY = re.compile(
    r".*(?:label|class|category|sentiment|intent|topic|type|tag|categories|kategorie|klasse|thema)s?",
    re.IGNORECASE,
)
# A system prompt with one of these words is the instruction for whatever the user sends.
_TASK = re.compile(
    r"\b(?:translat|summar|rewrit|paraphras|extract|classif|categori|describe|explain|correct|"
    r"übersetz|zusammenfass|fasse|tradu|résum)\w*",
    re.IGNORECASE,
)
_ANSWER_LIKE = re.compile(
    r"\W*(?:please )?(?:answer|reply|respond|output|format|classif|label|the answer|antworte)", re.I
)
_MEDIA = re.compile(r"\[(?:image|document|video|audio|cachePoint|guardContent)\]")


@dataclass(frozen=True)
class Wish:
    """What an answer must be.

    schema: of the JSON that is wanted; None if it is no JSON
    labels: of which one is wanted, with words about each
    rating: the numbers of which one is wanted, as a schema
    row: the text that the question is about; "" if the question is all there is
    """

    question: str
    row: str
    system: str = ""
    schema: Schema | None = None
    labels: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    rating: Schema | None = None


@dataclass(frozen=True)
class _Form:
    """What a text says about the form of the answer, and where it says it."""

    schema: Schema | None = None
    labels: Labels | None = None
    rating: Schema | None = None
    spans: tuple[tuple[int, int], ...] = ()
    is_json: bool = False


def read_wish(prompt: Prompt) -> Wish:
    """Return what a prompt wants."""
    system, asked = plain(prompt.system)[:_MOST_READ], _asked(prompt)
    in_system = _form(system, prompt.wants_json) if system else _Form()
    instruction = instruction_of(asked)
    in_asked = _form(instruction, prompt.wants_json)
    if not in_asked.spans and not in_system.spans and prompt.schema is None:
        in_asked = _form_of_examples(asked, in_asked)
    is_all_row = not in_asked.spans and (
        bool(in_system.spans)
        or prompt.schema is not None
        or bool(_TASK.search(system) and not instructs(asked))
    )
    question, row = ("", asked) if is_all_row else split_row(asked, in_asked.spans)
    wish = Wish(question, unwrapped(row), system)
    labels = in_system.labels or in_asked.labels
    schema = prompt.schema or in_system.schema or in_asked.schema
    if schema is None and (prompt.wants_json or in_system.is_json or in_asked.is_json):
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    if schema is not None:
        return replace(wish, schema=_with_labels(schema, labels))
    if labels is not None:
        return replace(wish, labels=labels.names, about=labels.about)
    return replace(wish, rating=in_system.rating or in_asked.rating)


def _asked(prompt: Prompt) -> str:
    """Return what the user asks: the last message, with the one before if that is a tool's."""
    turns = [turn for turn in prompt.turns if turn.role != "assistant"][-2:]
    texts = [turn.text for turn in turns if turn is turns[-1] or turns[-1].role == "tool"]
    text = "\n\n".join(texts)
    text = plain(_MEDIA.sub("", text) if "[" in text else text)
    if len(text) > 2 * _MOST_READ:
        text = f"{text[:_MOST_READ]}\n{text[-_MOST_READ:]}"
    return text


@functools.lru_cache(maxsize=512)
def _form(text: str, wants_json: bool = False) -> _Form:
    """Read a text. The instruction of a template is the same for many rows, so it is kept.

    wants_json: whether the request asks for JSON in another way than in its text
    """
    schema, spans = None, []
    is_json = wants_json or asks_for_json(text) is not None
    if "{" in text or "[" in text:
        shape = find_shape(text)
        if shape is not None and (is_json or _is_announced(text, shape)):
            schema, spans = shape.schema, list(shape.spans)
    if schema is None and is_json:
        keys = find_keys(text)
        if keys is not None:
            schema, spans = keys.schema, [keys.span]
    labels = find_labels(_outside(text, spans))
    if labels is not None:
        spans.append(labels.span)
    rating = None
    if schema is None and labels is None:
        found = _RATING.search(text) if any(map(str.isdigit, text)) else None
        rating = schema_of_hint("rating", _ASIDE.sub("", found[0])) if found else None
        if found and rating and rating["type"] in ("integer", "number"):
            spans.append(found.span())
        else:
            rating = None
    return _Form(schema, labels, rating, tuple(spans), is_json)


def _is_announced(text: str, shape: Shape) -> bool:
    """Tell whether a shape shows the answer, though nothing asks for JSON: it may be a row's code.

    A list of texts is none then: labels are written like that.
    """
    if shape.schema.get("items") == {"type": "string"}:
        return False
    paragraph = text.rfind("\n\n", 0, shape.spans[0][0]) + 1
    is_instruction = paragraph == 0 or _ANSWER_LIKE.match(text[paragraph:]) is not None
    return "json" in text.lower() or (shape.shows_answer and is_instruction)


def _form_of_examples(text: str, form: _Form) -> _Form:
    """Read the form of an answer from examples of answers, if a text has some."""
    labels = labels_of_examples(text)
    if labels is not None:
        return replace(form, labels=labels, spans=(labels.span,))
    shape = find_shape(text) if form.is_json and ("{" in text or "[" in text) else None
    if shape is None:
        return form
    return replace(form, schema=shape.schema, spans=shape.spans)


def _outside(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text with blanks in the place of some spans, so that positions stay the same."""
    for start, end in spans:
        text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    return text


def _with_labels(schema: Schema, labels: Labels | None) -> Schema:
    """Return a schema whose label members have the labels that the prompt lists."""
    properties = schema.get("properties")
    if labels is None or not isinstance(properties, dict):
        return schema
    changed: dict[str, Any] = dict(properties)
    for name, member in properties.items():
        if not _LABEL_KEY.fullmatch(name) or not isinstance(member, dict):
            continue
        choice = {"type": "string", "enum": list(labels.names)}
        if member == {"type": "string"}:
            changed[name] = choice
        elif member.get("type") == "array" and member.get("items") == {"type": "string"}:
            changed[name] = {**member, "items": choice}
    return {**schema, "properties": changed}
