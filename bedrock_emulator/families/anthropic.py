"""Anthropic's Messages API on Bedrock.

`anthropic_version`, `max_tokens` and `messages` are required.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bedrock_emulator.answers.prompt import (
    Completion,
    Piece,
    Pieces,
    Prompt,
    Stop,
    Tool,
    Turn,
)
from bedrock_emulator.answers.thinking import tokens_of_budget, tokens_of_effort
from bedrock_emulator.families.claude_rules import hides_thinking
from bedrock_emulator.families.claude_thoughts import signature_of
from bedrock_emulator.families.content import text_of, turn_of
from bedrock_emulator.families.family import Answer, Body, Context, Family, Head, OpenBody

_VERSION = "bedrock-2023-05-31"
_STOP_REASONS: dict[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "sequence": "stop_sequence",
    "tool": "tool_use",
    "refusal": "refusal",
}


class Part(OpenBody):
    """A content block. Its `type` decides which other members it has."""

    type: Literal[
        "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking",
        "search_result",
    ]  # fmt: skip
    text: str | None = None


class Message(Body):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str | Annotated[list[Part], Field(min_length=1)]


class ToolSpec(OpenBody):
    """A tool of the request. A built-in tool has a `type` and no schema."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)


class ToolChoice(OpenBody):
    """Whether the model may call a tool, must call one, or must not."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class OutputFormat(OpenBody):
    """The format that the answer must have: a JSON schema."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class OutputConfig(OpenBody):
    """The member that holds the output format in newer versions of the API, and the effort."""

    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class Thinking(Body):
    """Whether the model thinks before it answers, and how many tokens that may take."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = Field(default=None, ge=1024)
    display: Literal["summarized", "omitted"] | None = None

    @model_validator(mode="after")
    def _has_a_budget(self) -> Thinking:
        if (self.type == "enabled") != (self.budget_tokens is not None):
            raise ValueError("budget_tokens goes with the type enabled, and only with it")
        return self


def _check_version(value: str) -> str:
    if value != _VERSION and not re.fullmatch(r"20\d\d-\d\d-\d\d", value):
        raise ValueError(f"Input should be '{_VERSION}'")
    return value


class MessagesBody(Body):
    """The request body.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
    """

    # The newest SDKs of Anthropic send the date of their API in place of Bedrock's own version.
    anthropic_version: Annotated[str, AfterValidator(_check_version)]
    max_tokens: int = Field(ge=1)
    messages: list[Message] = Field(min_length=1)
    anthropic_beta: list[str] | None = None
    system: str | list[Part] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=500)
    stop_sequences: list[str] | None = Field(default=None, max_length=8191)
    tools: list[ToolSpec] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    metadata: dict[str, Any] | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    context_management: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _starts_with_user(self) -> MessagesBody:
        if self.messages[0].role != "user":
            raise ValueError('first message must use the "user" role')
        budget = self.thinking.budget_tokens if self.thinking else None
        if budget is not None and budget >= self.max_tokens:
            raise ValueError("`max_tokens` must be greater than `thinking.budget_tokens`")
        return self


def prompt_of(body: MessagesBody) -> Prompt:
    """Convert a request body to a prompt."""
    choice = body.tool_choice
    nested_format = body.output_config.format if body.output_config else None
    output_format = body.output_format or nested_format
    return Prompt(
        turns=tuple(_turn(message) for message in body.messages),
        system=_plain(body.system),
        max_tokens=body.max_tokens,
        stop_sequences=tuple(body.stop_sequences or ()),
        temperature=body.temperature,
        top_p=body.top_p,
        tools=tuple(Tool(t.name, t.input_schema, t.description) for t in body.tools or ()),
        tool_choice="auto" if choice is None else choice.name or choice.type,
        schema=output_format.schema_ if output_format else None,
        thinking=_thinking_tokens(body),
    )


def _thinking_tokens(body: MessagesBody) -> int:
    kind = body.thinking.type if body.thinking else "disabled"
    if kind == "disabled":
        return 0
    if body.thinking and body.thinking.budget_tokens is not None:
        return tokens_of_budget(body.thinking.budget_tokens)
    return tokens_of_effort(body.output_config.effort if body.output_config else None)


def _plain(content: str | list[Part] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return text_of([part.model_dump(exclude_none=True) for part in content])


def _turn(message: Message) -> Turn:
    if isinstance(message.content, str):
        return turn_of(message.role, message.content)
    return turn_of(message.role, [part.model_dump(exclude_none=True) for part in message.content])


def answer(body: MessagesBody, context: Context) -> Answer:
    """Answer a request in the response format of the Messages API."""
    completion = context.backend.complete(context.model_id, prompt_of(body))
    content: list[dict[str, Any]] = []
    if completion.reasoning:
        thought = "" if hides_thinking(context.model_id) else completion.reasoning
        signed = {"thinking": thought, "signature": signature_of(thought)}
        content.append({"type": "thinking", **signed})
    if completion.text or not (completion.tool_calls or completion.reasoning):
        content.append({"type": "text", "text": completion.text})
    content += [
        {"type": "tool_use", "id": call.call_id, "name": call.name, "input": call.input}
        for call in completion.tool_calls
    ]
    return Answer(
        {
            "id": _message_id(context.model_id, repr(completion)),
            "type": "message",
            "role": "assistant",
            "model": _short_name(context.model_id),
            "content": content,
            "stop_reason": _STOP_REASONS[completion.stop],
            "stop_sequence": completion.stop_sequence,
            "usage": _usage(completion),
        },
        completion.input_tokens,
        completion.output_tokens,
        completion.cache,
    )


def _usage(completion: Completion) -> dict[str, Any]:
    """Return the token counts. Those of thinking are a part of the output."""
    usage: dict[str, Any] = {
        "input_tokens": completion.input_tokens,
        "output_tokens": completion.output_tokens,
    }
    if completion.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": completion.reasoning_tokens}
    if completion.cache is not None:
        usage["cache_read_input_tokens"] = completion.cache.read
        usage["cache_creation_input_tokens"] = completion.cache.written
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": completion.cache.written_5m,
            "ephemeral_1h_input_tokens": completion.cache.written_1h,
        }
    return usage


def _message_id(model_id: str, identity: str) -> str:
    text = f"{model_id}\x1f{identity}".encode("utf-8", "surrogatepass")
    return f"msg_bdrk_{hashlib.blake2b(text, digest_size=12).hexdigest()}"


def _short_name(model_id: str) -> str:
    return re.sub(r"-v\d+(:\d+)*$", "", model_id.rsplit("anthropic.", 1)[-1])


def stream(head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Write an answer as the events of a Messages stream."""
    begun = Completion("", head.input_tokens, 1, cache=head.cache)
    message: dict[str, Any] = {
        "id": _message_id(head.model_id, head.identity),
        "type": "message",
        "role": "assistant",
        "model": _short_name(head.model_id),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(begun),
    }
    yield {"type": "message_start", "message": message}
    index, block = -1, ""  # the block that is open: its kind, and the id of a call
    thought = ""  # that the open block has shown
    for piece in pieces:
        if isinstance(piece, Completion):
            if index < 0:
                index = 0
                yield _block_start(0, Piece("text"))
            yield from _block_end(index, block, thought)
            yield {
                "type": "message_delta",
                "delta": {
                    "stop_reason": _STOP_REASONS[piece.stop],
                    "stop_sequence": piece.stop_sequence,
                },
                "usage": _usage(piece),
            }
            continue
        if piece.kind + piece.call_id != block:
            if index >= 0:
                yield from _block_end(index, block, thought)
            index, block, thought = index + 1, piece.kind + piece.call_id, ""
            yield _block_start(index, piece)
        if piece.text and not (piece.kind == "reasoning" and hides_thinking(head.model_id)):
            thought += piece.text if piece.kind == "reasoning" else ""
            yield _delta(index, _delta_of(piece))
    yield {"type": "message_stop"}


def _block_start(index: int, piece: Piece) -> dict[str, Any]:
    block: dict[str, Any]
    if piece.kind == "call":
        block = {"type": "tool_use", "id": piece.call_id, "name": piece.name, "input": {}}
    elif piece.kind == "reasoning":
        block = {"type": "thinking", "thinking": ""}
    else:
        block = {"type": "text", "text": ""}
    return {"type": "content_block_start", "index": index, "content_block": block}


def _block_end(index: int, block: str, thought: str) -> Iterator[dict[str, Any]]:
    if block == "reasoning":
        yield _delta(index, {"type": "signature_delta", "signature": signature_of(thought)})
    yield {"type": "content_block_stop", "index": index}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _delta_of(piece: Piece) -> dict[str, Any]:
    if piece.kind == "call":
        return {"type": "input_json_delta", "partial_json": piece.text}
    if piece.kind == "reasoning":
        return {"type": "thinking_delta", "thinking": piece.text}
    return {"type": "text_delta", "text": piece.text}


ANTHROPIC = Family(
    name="anthropic",
    models=re.compile(r"anthropic\..+"),
    body=MessagesBody,
    answer=answer,
    prompt=prompt_of,
    stream=stream,
    input_modalities=("TEXT", "IMAGE"),
    has_converse=True,
)
