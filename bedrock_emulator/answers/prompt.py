"""Prompts and completions in one format that all model families share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

#: Why a completion ended. Each family has its own names for these.
Stop = Literal["end", "length", "sequence", "tool", "refusal"]


@dataclass(frozen=True)
class Turn:
    """One message: its role and its text. Other content is described in brackets."""

    role: str
    text: str


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
class Completion:
    """The answer to a prompt.

    reasoning: what the model thought before the text; reasoning_tokens: a part of output_tokens
    """

    text: str
    input_tokens: int
    output_tokens: int
    stop: Stop = "end"
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = field(default=())
    reasoning: str = ""
    reasoning_tokens: int = 0


class PromptError(Exception):
    """A request that no model can answer, for example a tool with an invalid schema: error 400."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Backend(Protocol):
    """A source of completions and embeddings."""

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        """Answer a prompt."""

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        """Return a vector for a text, of length `dimensions` if the backend can choose it."""
