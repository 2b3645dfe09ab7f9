"""The interface of a model family: how it builds requests and how it reads answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.request import EXTRA_OPTIONS
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.config.tools import AUTO
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.endings import Ending, Endings
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.turns import Turns, refuse_turns_with_parts
from bedrock_spark.families.ways import PutTools, Way

# Puts `request.thinking` into a body, for a model of this bare id. Raises ConfigError if the model
# does not take it.
Think = Callable[[dict[str, Any], ThinkingConfig, str], dict[str, Any]]
# Makes a body template as `builder` does, with the earlier turns of a conversation in it.
ChatBuilder = Callable[[RequestConfig, Turns], dict[str, Any]]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The parts of one answer. A part that the model does not give is None (`images`: empty).

    tool_input: the input of the first tool call, as JSON text
    images: base64 texts, unchanged
    input_tokens: all of the request; cache_read_tokens and cache_write_tokens are a part of them
    output_tokens: all of the answer; reasoning_tokens are a part of them (usage.py)
    has_other_vectors: whether there are embeddings of other number types, which are no column
    """

    text: str | None = None
    embedding: tuple[float, ...] | None = None
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning: str | None = None
    tool_input: str | None = None
    images: tuple[str, ...] = ()
    has_other_vectors: bool = False
    reasoning_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing that can be asked for is there: reasoning alone is no answer."""
        if self.text and not self.text.isspace():
            return False
        parts = self.embedding, self.images, self.has_other_vectors, self.tool_input is not None
        return not any(parts)


@dataclass(frozen=True)
class ReasoningTag:
    """The tag around the reasoning at the start of a model's text.

    is_open: the opening tag may be at the end of the prompt, so that the text has only the
        closing tag
    """

    name: str
    is_open: bool = False


@dataclass(frozen=True)
class ModelLimits:
    """What some models of a family take of one row; None if no limit is known.

    models: matches the bare ids of the models
    max_characters: the most characters (Unicode code points) of one text
    max_images: the most images, if the family's own limit is not the model's
    """

    models: re.Pattern[str]
    max_characters: int | None = None
    max_images: int | None = None


NO_LIMITS = ModelLimits(re.compile(""))


@dataclass(frozen=True)
class Family:
    """One model family: it builds requests and reads answers.

    pattern: matches the bare model id; None if the family can only be chosen by its name
    builder: makes a body template from the request options, whose strings may hold placeholders
    chat_builder: the same with the earlier turns of a conversation; None if the body has no place
        for them
    read: makes an Answer from a decoded modelOutput; any member may be absent or null
    read_plain: decodes and reads a modelOutput of the usual shape in one step, several times as
        fast as `read`; None for any other shape, and if there are images. It returns what `read`
        would
    takes_media: whether the builder supports images and documents
    extras: those of EXTRA_OPTIONS that the builder supports, but for `thinking`
    think: supports `thinking`; None if no model of the family does
    read_chunk: makes an Answer from a decoded chunk of a stream: the text that it adds, and token
        counts as totals so far; None if the family does not stream
    tag: the tag around the reasoning in the text of those chunks; None if there is no tag
    answers_images: whether answers are images, which are paid for by the piece
    endings: what the stop reasons of its models mean
    reads_answers: whether `read` looks for anything; if not, every answer is as good as another
    converse_images: matches the bare ids of those models that take images, but only in Converse
    limits: what its models take of one row; the first that matches counts
    max_temperature: the highest `temperature`; None if none is known
    roles: the roles of its messages; None if they are not known
    put_tools: puts tools into a body; None if its models take none
    ways: how its models are asked for an answer of a shape; the first that matches counts
    """

    name: str
    pattern: re.Pattern[str] | None
    builder: Callable[[RequestConfig], dict[str, Any]]
    read: Callable[[Json], Answer]
    read_plain: Callable[[bytes], Answer | None] | None = None
    takes_media: bool = False
    extras: tuple[str, ...] = ()
    think: Think | None = None
    read_chunk: Callable[[Json], Answer] | None = None
    tag: ReasoningTag | None = None
    answers_images: bool = False
    endings: Endings = field(default_factory=Endings)
    reads_answers: bool = True
    converse_images: re.Pattern[str] | None = None
    limits: tuple[ModelLimits, ...] = ()
    max_temperature: float | None = None
    roles: tuple[str, ...] | None = None
    put_tools: PutTools | None = None
    ways: tuple[Way, ...] = ()
    chat_builder: ChatBuilder | None = None

    def way_of(self, bare_model_id: str) -> Way | None:
        """Return how a model is asked for an answer of a shape; None if it cannot be."""
        return next((way for way in self.ways if way.models.fullmatch(bare_model_id)), None)

    def limits_of(self, bare_model_id: str) -> ModelLimits:
        """Return what a model takes of one row."""
        return next((x for x in self.limits if x.models.fullmatch(bare_model_id)), NO_LIMITS)

    def ending_of(self, answer: Answer) -> Ending:
        """Return how an answer ended."""
        return self.endings.of(answer.stop_reason)

    def build(
        self, request: RequestConfig, bare_model_id: str, turns: Turns = ()
    ) -> dict[str, Any]:
        """Return the body template of a request to a model.

        turns: the earlier turns of a conversation, whose next question is the prompt
        Raises ConfigError for an option that the family or this model does not take, and for turns
        if its body has no place for them.
        """
        if not self.takes_media:
            refuse(request, self.name, "images", "documents")
        taken = (*self.extras, *(("thinking",) if self.think is not None else ()))
        refuse(request, self.name, *(name for name in EXTRA_OPTIONS if name not in taken))
        if self.put_tools is None:
            refuse(request, self.name, "tools")
        body = self._with_turns(request, turns) if turns else self.builder(request)
        if self.think is not None and request.thinking is not None:
            body = self.think(body, request.thinking, bare_model_id)
        if self.put_tools is None or not request.tools:
            return body
        return self.put_tools(body, request.tools, request.tool_choice or AUTO)

    def _with_turns(self, request: RequestConfig, turns: Turns) -> dict[str, Any]:
        if self.chat_builder is None:
            raise ConfigError(
                f"models of the family {self.name} take one question, and no earlier turns; use "
                "Converse for a conversation"
            )
        has_tools = self.put_tools is not None
        refuse_turns_with_parts(turns, self.name, media=self.takes_media, tools=has_tools)
        if not request.tools and any(turn.calls for turn in turns):
            raise ConfigError(
                "request.tools: earlier turns have calls of tools, and then every request needs "
                "the tools; write them again, or begin a new conversation"
            )
        return self.chat_builder(request, turns)


NO_ANSWER = Answer()
_decode = msgspec.json.Decoder().decode


# InvokeModel adds this member to the answer of every model if the call has a guardrail. Source:
# Amazon Bedrock user guide, "Use guardrails with the InvokeModel operation".
GUARDRAIL_ACTION = "amazon-bedrock-guardrailAction"
_INTERVENED = "INTERVENED"


def decode_output(output: bytes) -> Any:
    """Decode a modelOutput. Return None if that fails, because a number is too large, say."""
    try:
        return _decode(output)
    except (msgspec.MsgspecError, RecursionError):
        return None


def read_decoded(decoded: Any, family: Family) -> Answer:
    """Read a decoded answer. Anything but an object has no parts. Raises nothing."""
    if not isinstance(decoded, dict):
        return NO_ANSWER
    try:
        answer = family.read(decoded)
    except RecursionError:
        return NO_ANSWER
    if decoded.get(GUARDRAIL_ACTION) == _INTERVENED:
        return msgspec.structs.replace(answer, stop_reason="guardrail_intervened")
    return answer


def read_answer(output: bytes, family: Family) -> Answer:
    """Read an answer. JSON that cannot be decoded has no parts. Raises nothing."""
    plain = family.read_plain(output) if family.read_plain is not None else None
    return plain if plain is not None else read_decoded(decode_output(output), family)


def prompt_of(request: RequestConfig) -> str:
    """Return the prompt, from which a family builds its body. Raises ConfigError if it is None."""
    if request.prompt is None:
        raise ConfigError("request.prompt: is needed to build a body")
    return request.prompt


def refuse(request: RequestConfig, family: str, *options: str) -> None:
    """Raise ConfigError if the request sets one of `options`, which the family does not support."""
    set_options = [o for o in options if getattr(request, o) not in (None, ())]
    if set_options:
        raise ConfigError(
            "\n".join(
                f"request.{option}: models of the family {family} do not take it; "
                "leave it out, or write the whole body as request.body"
                for option in set_options
            )
        )


def refuse_thinking(why: str) -> ConfigError:
    """Return the error for a value of `request.thinking` that a model does not take."""
    return ConfigError(f"request.thinking: {why}")


def refuse_tokens(request: RequestConfig, family: str, *tokens: str) -> None:
    """Raise ConfigError if the prompt or the system prompt holds one of the template's `tokens`.

    The family puts its template around the prompt. With the template applied twice, the prompt
    would mean something else to the model.
    """
    for option in ("prompt", "system"):
        present = [t for t in tokens if t in (getattr(request, option) or "")]
        if present:
            raise ConfigError(
                f"request.{option}: holds {present[0]}, but the family {family} puts the model's "
                "template around it; leave the template out, or write the whole body as "
                "request.body"
            )
