"""Prompts and completions in one format that all model families share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

#: Why a completion ended. Each family has its own names for these.
Stop = Literal["end", "length", "sequence", "tool", "refusal"]


#: What a part of a message is.
Kind = Literal["text", "image", "document", "call", "result", "reasoning", "other"]


@dataclass(frozen=True)
class Part:
    """A part of a message.

    text: of a text, a document of text, a result or reasoning
    data, media_type: of an image or of another document; the data is base64
    name: of the tool that is called; of a part that is `other`, its kind
    call_id: of a call, and of its result; input: of a call
    """

    kind: Kind
    text: str = ""
    data: str = ""
    media_type: str = ""
    name: str = ""
    call_id: str = ""
    input: Any = None

    @property
    def shown(self) -> str:
        """Return the text that stands for the part."""
        if self.kind == "call":
            return f"{self.name} {json.dumps(self.input, ensure_ascii=False, default=str)}"
        if self.text or self.kind in ("text", "result", "reasoning"):
            return self.text
        return f"[{self.name or self.kind}]"


@dataclass(frozen=True)
class Turn:
    """One message: its role, its text, and its parts if they are known."""

    role: str
    text: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A tool the model may call, with the JSON schema its input must fit."""

    name: str
    schema: dict[str, Any]
    description: str = ""


@dataclass(frozen=True)
class Prompt:
    """A request for text. `tool_choice` is `auto`, `any`, `none` or the name of a tool.

    schema: what the answer must fit, if the request has a JSON schema
    wants_json: whether the request asks for a JSON object, of whatever members
    thinking: the tokens of thinking that the request asks for; 0 for none
    """

    turns: tuple[Turn, ...]
    system: str = ""
    max_tokens: int = 512
    stop_sequences: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    schema: dict[str, Any] | None = None
    wants_json: bool = False
    thinking: int = 0

    @property
    def text(self) -> str:
        """All text that counts as input."""
        return "\n".join([self.system, *(turn.text for turn in self.turns)])


@dataclass(frozen=True)
class ToolCall:
    """A tool call that the model asks for."""

    call_id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class CacheTokens:
    """Input tokens that were read from the prompt cache, and written to it for a time."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        """All tokens that were written."""
        return self.written_5m + self.written_1h


@dataclass(frozen=True)
class Completion:
    """The answer to a prompt.

    reasoning: what the model thought before the text; reasoning_tokens: a part of output_tokens
    cache: set if the request uses the prompt cache; input_tokens are without these tokens
    """

    text: str
    input_tokens: int
    output_tokens: int
    stop: Stop = "end"
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = field(default=())
    reasoning: str = ""
    reasoning_tokens: int = 0
    cache: CacheTokens | None = None


@dataclass(frozen=True)
class Piece:
    """A piece of an answer that is being written.

    text: of a call, a piece of its input as JSON
    call_id, name: of the call that begins or goes on; a call begins with an empty text
    """

    kind: Literal["reasoning", "text", "call"]
    text: str = ""
    call_id: str = ""
    name: str = ""


#: The pieces of an answer in their order. The whole answer comes last.
Pieces: TypeAlias = Iterator[Piece | Completion]


class PromptError(Exception):
    """A request that no model can answer, for example a tool with an invalid schema: error 400."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Backend(Protocol):
    """A source of completions and embeddings."""

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        """Answer a prompt."""

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        """Answer a prompt piece by piece. Closing the iterator ends the work on the answer."""

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        """Return a vector for a text, of length `dimensions` if the backend can choose it."""
