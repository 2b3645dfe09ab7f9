"""What a model family is: how a request is built and where the parts of an answer are found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError

Json = Mapping[str, Any]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The parts of one answer. What a model does not give is None.

    tool_input: the input of the first tool call, as JSON text
    images: base64, as the model gave them
    """

    text: str | None = None
    embedding: tuple[float, ...] | None = None
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning: str | None = None
    tool_input: str | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReasoningTag:
    """The tag inside which a model reasons at the head of its text.

    is_open: the opening tag may stand at the end of the prompt instead
    """

    name: str
    is_open: bool = False


@dataclass(frozen=True)
class Family:
    """Both directions of one family.

    pattern: matched against the bare model id; None for a family that is only ever named
    builder: the request options (strings may hold placeholders) to a body template
    read: a decoded modelOutput to its Answer; any member may be absent or null
    takes_media: whether the builder has a place for images and documents
    read_chunk: a decoded chunk of a streamed answer to what it adds, counts being totals so far;
        None for a family that does not stream
    tag: around the reasoning in the text of those chunks
    """

    name: str
    pattern: re.Pattern[str] | None
    builder: Callable[[RequestConfig], dict[str, Any]]
    read: Callable[[Json], Answer]
    takes_media: bool = False
    read_chunk: Callable[[Json], Answer] | None = None
    tag: ReasoningTag | None = None

    def build(self, request: RequestConfig) -> dict[str, Any]:
        """Return the body template of a request. Raises ConfigError for what has no place in it."""
        if not self.takes_media:
            refuse(request, self.name, "images", "documents")
        return self.builder(request)


NO_ANSWER = Answer()
_decode = msgspec.json.Decoder().decode


def answer_of(output: bytes, read: Callable[[Any], Answer]) -> Answer:
    """Read an answer; what cannot be (a number too large, say) has no parts."""
    try:
        decoded = _decode(output)
    except (msgspec.MsgspecError, RecursionError):
        return NO_ANSWER
    return read(decoded) if isinstance(decoded, dict) else NO_ANSWER


def prompt_of(request: RequestConfig) -> str:
    """Return the prompt. A family is only asked to build where there is one."""
    if request.prompt is None:
        raise ConfigError("request.prompt: is needed to build a body")
    return request.prompt


def refuse(request: RequestConfig, family: str, *options: str) -> None:
    """Raise ConfigError for options that this family's body has no place for."""
    given = [o for o in options if getattr(request, o) not in (None, ())]
    if given:
        raise ConfigError(
            f"request.{given[0]}: models of the family {family} do not take it; "
            "leave it out, or write the whole body as request.body"
        )


def refuse_tokens(request: RequestConfig, family: str, *tokens: str) -> None:
    """Raise ConfigError for a prompt that holds tokens of the template the family puts around it.

    Twice in the template, a prompt means something else to the model.
    """
    for option in ("prompt", "system"):
        found = [t for t in tokens if t in (getattr(request, option) or "")]
        if found:
            raise ConfigError(
                f"request.{option}: holds {found[0]}, but the family {family} puts the model's "
                "template around it; leave the template out, or write the whole body as "
                "request.body"
            )


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the members that are None or empty: an option not given is not sent."""
    return {k: v for k, v in values.items() if v is not None and v not in ({}, [])}


def at(value: Any, *path: str | int) -> Any:
    """Follow a path of keys and indexes; None where it ends early, whatever stands there."""
    # Called several times per answer: JSON has dict and list, and an ABC would be slow to ask.
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str | None:
    """Return the string at a path, or None."""
    found = at(value, *path)
    return found if isinstance(found, str) else None


def count_at(value: Any, *path: str | int) -> int | None:
    """Return the whole number at a path, or None."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def joined_text(blocks: Any, *path: str) -> str | None:
    """Join the text at a path (by default `text`) of content blocks; None where no block has any.

    Converse lines of a batch list every member of the content union with explicit nulls, so a
    member counts only when it is not null.
    """
    if not isinstance(blocks, list):
        return None
    # As a rule there is one step, and every answer is read: no path is followed for it.
    first, *rest = path or ("text",)
    found = (b.get(first) for b in blocks if isinstance(b, dict))
    texts = [t for t in (at(f, *rest) if rest else f for f in found) if isinstance(t, str)]
    return "".join(texts) if texts else None


def vector_at(value: Any, *path: str | int) -> tuple[float, ...] | None:
    """Return the list of numbers at a path; anything else stays in the raw output only."""
    found = at(value, *path)
    if not isinstance(found, list) or not {float, int}.issuperset(map(type, found)):
        return None
    try:
        return tuple(map(float, found))
    except OverflowError:
        return None


def texts_at(value: Any, *path: str | int) -> tuple[str, ...]:
    """Return the strings of the list at a path, none where there is no list."""
    found = at(value, *path)
    return tuple(v for v in found if isinstance(v, str)) if isinstance(found, list) else ()


def first_at(blocks: Any, *path: str | int) -> Any:
    """Return what stands at a path in the first of the blocks that has something there."""
    listed = blocks if isinstance(blocks, list) else ()
    return next((v for v in (at(block, *path) for block in listed) if v is not None), None)


def json_text(value: Any) -> str | None:
    """Return a tool call's input as JSON text; some models give it as text already."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
