"""The earlier turns of a conversation, which a chat model gets before the next question.

Their form is that of the sources of each family. Of those that take one prompt: Meta's "Model cards
and prompt formats", Mistral's "Instruct Tokenization & Chat Templates", and the chat template of
DeepSeek R1's tokenizer. Of Command R: `chat_history` in the Amazon Bedrock user guide. Titan Text
and Command have no place for turns.

Calls of tools and their results, images and documents are parts of turns, for the families that
take them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool.

    name, id: None if the answer does not have it
    input: JSON as text; of a call that has only begun, the part that came with its beginning
    """

    name: str | None
    id: str | None = None
    input: str = ""

    @property
    def decoded_input(self) -> dict[str, Any]:
        """Return the input, which is an object. Raises ConfigError if it is none."""
        if not self.input.strip():
            return {}
        try:
            value = msgspec.json.decode(self.input)
        except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
            value = None
        if not isinstance(value, dict):
            raise ConfigError(
                f"the input of the call of the tool {self.name} is no JSON object, so that it "
                "cannot be sent back to the model; begin a new conversation"
            )
        return value


@dataclass(frozen=True)
class Turn:
    """A question and its answer. Reasoning is not a part of the text of the answer.

    Both have some text, but for these: a question after results of tools, and an answer with calls.

    calls: of tools, in the answer; results: the text of each, which the model gets with the next
        question
    images, documents: of the question: columns, as `request` in a config names them
    signed: the blocks of an answer that has calls and signed thinking, as `signed_blocks` returns
        them. Claude gets them unchanged, in the place of answer and calls
    """

    question: str
    answer: str
    calls: tuple[ToolCall, ...] = ()
    results: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    signed: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Tell whether it has nothing but texts."""
        return not (self.calls or self.images or self.documents)


Turns = Sequence[Turn]


@dataclass(frozen=True)
class Said:
    """One message of a conversation.

    text: may be blank if there are other parts
    results: of the calls of the message before, each with its call; calls: of this message
    images, documents: columns; number: of the first document in the conversation, from 1
    signed: see `Turn`
    """

    role: Literal["user", "assistant"]
    text: str
    results: tuple[tuple[ToolCall, str], ...] = ()
    calls: tuple[ToolCall, ...] = ()
    images: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    number: int = 1
    signed: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Tell whether it has nothing but text."""
        return not (self.results or self.calls or self.images or self.documents)


def messages_of(turns: Turns, request: RequestConfig, prompt: str) -> list[Said]:
    """Return the messages of a conversation; the last one is the question of now.

    request: names the images and documents of that question
    Each call has an id. Raises ConfigError if a call has no result.
    """
    messages: list[Said] = []
    results: tuple[tuple[ToolCall, str], ...] = ()
    number = 1
    for place, turn in enumerate(turns, 1):
        if len(turn.calls) != len(turn.results):
            raise ConfigError(
                f"turn {place} of the conversation: has {len(turn.calls)} calls of tools and "
                f"{len(turn.results)} results; write a result for each call"
            )
        calls = tuple(
            dataclasses.replace(call, id=call.id or f"call_{place}_{n}")
            for n, call in enumerate(turn.calls, 1)
        )
        messages.append(
            Said("user", turn.question, results, (), turn.images, turn.documents, number)
        )
        messages.append(Said("assistant", turn.answer, (), calls, signed=turn.signed))
        results = tuple(zip(calls, turn.results, strict=True))
        number += len(turn.documents)
    question = Said("user", prompt, results, (), request.images, request.documents, number)
    return [*messages, question]


def refuse_turns_with_parts(turns: Turns, family: str, *, media: bool, tools: bool) -> None:
    """Raise ConfigError if a turn has parts that a family does not take.

    media, tools: whether it takes these
    """
    for place, turn in enumerate(turns, 1):
        has_media = bool(turn.images or turn.documents)
        if (has_media and not media) or (turn.calls and not tools):
            what = "images or documents" if has_media and not media else "calls of tools"
            raise ConfigError(
                f"turn {place} of the conversation: has {what}, which models of the family "
                f"{family} do not take; begin a new conversation, or use Converse"
            )


def spoken(turns: Turns) -> Iterator[tuple[str, str]]:
    """Yield the role and the text of every message, in their order."""
    for turn in turns:
        yield "user", turn.question
        yield "assistant", turn.answer


def refuse_tokens_in(turns: Turns, family: str, *tokens: str) -> None:
    """Raise ConfigError if a turn holds one of the `tokens` of the template around it."""
    for number, turn in enumerate(turns, 1):
        present = [t for t in tokens if t in turn.question or t in turn.answer]
        if present:
            raise ConfigError(
                f"turn {number} of the conversation: holds {present[0]}, which belongs to the "
                f"template of the family {family}; begin a new conversation, or use Converse"
            )
