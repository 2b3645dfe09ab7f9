"""Amazon Nova's text models. Their messages of content blocks are close to Converse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from bedrock_emulator.answers.prompt import (
    Completion,
    Piece,
    Pieces,
    Prompt,
    PromptError,
    Stop,
    Tool,
)
from bedrock_emulator.answers.thinking import tokens_of_effort
from bedrock_emulator.families.content import turn_of
from bedrock_emulator.families.family import Answer, Body, Context, Family, Head, OpenBody

STOP_REASONS: dict[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "sequence": "stop_sequence",
    "tool": "tool_use",
    "refusal": "content_filtered",
}


class Block(Body):
    """A content block: one of these kinds of content."""

    text: str | None = None
    image: dict[str, Any] | None = None
    video: dict[str, Any] | None = None
    document: dict[str, Any] | None = None
    toolUse: dict[str, Any] | None = None  # noqa: N815 - the wire's name
    toolResult: dict[str, Any] | None = None  # noqa: N815
    cachePoint: dict[str, Any] | None = None  # noqa: N815


class Message(Body):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: list[Block] = Field(min_length=1)


class ReasoningConfig(Body):
    """Whether Nova 2 thinks before it answers, and how much."""

    type: Literal["enabled", "disabled"]
    maxReasoningEffort: Literal["low", "medium", "high"] | None = None  # noqa: N815


class InferenceConfig(Body):
    """Sampling and limits. Amazon's own examples use both spellings, such as `topP` and `top_p`."""

    maxTokens: int | None = Field(default=None, ge=1)  # noqa: N815
    max_new_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    topP: float | None = Field(default=None, ge=0, le=1)  # noqa: N815
    top_p: float | None = Field(default=None, ge=0, le=1)
    topK: int | None = Field(default=None, ge=0)  # noqa: N815
    top_k: int | None = Field(default=None, ge=0)
    stopSequences: list[str] | None = None  # noqa: N815
    reasoningConfig: ReasoningConfig | None = None  # noqa: N815

    @model_validator(mode="after")
    def _high_effort_stands_alone(self) -> InferenceConfig:
        effort = self.reasoningConfig.maxReasoningEffort if self.reasoningConfig else None
        others = (self.temperature, self.topP, self.top_p, self.maxTokens, self.max_new_tokens)
        if effort == "high" and any(value is not None for value in others):
            raise ValueError("temperature, topP and maxTokens cannot be used with high effort")
        return self


class System(OpenBody):
    """A system prompt."""

    text: str


class InputSchema(OpenBody):
    """The JSON schema of a tool's input, as an object."""

    json_: dict[str, Any] = Field(alias="json")


class ToolSpec(OpenBody):
    """A tool that the caller defines."""

    name: str = Field(min_length=1)
    description: str | None = None
    inputSchema: InputSchema  # noqa: N815


class ToolItem(OpenBody):
    """A tool that the caller defines, or a built-in tool of Nova."""

    toolSpec: ToolSpec | None = None  # noqa: N815


class NamedTool(OpenBody):
    """The tool that must be called."""

    name: str


class ToolChoice(OpenBody):
    """One of `auto`, `any` and `tool`."""

    tool: NamedTool | None = None


class ToolConfig(OpenBody):
    """The tools of a request."""

    tools: list[ToolItem] = Field(min_length=1)
    toolChoice: ToolChoice | None = None  # noqa: N815


class NovaBody(Body):
    """The request body.

    https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
    """

    messages: list[Message] = Field(min_length=1)
    schemaVersion: str | None = None  # noqa: N815
    system: list[System] | None = None
    inferenceConfig: InferenceConfig | None = None  # noqa: N815
    toolConfig: ToolConfig | None = None  # noqa: N815
    additionalModelRequestFields: dict[str, Any] | None = None  # noqa: N815


def prompt_of(body: NovaBody) -> Prompt:
    """Convert a request body to a prompt."""
    config = body.inferenceConfig or InferenceConfig()
    tool_config = (
        body.toolConfig.model_dump(by_alias=True, exclude_none=True) if body.toolConfig else None
    )
    tools, choice = tools_of(tool_config)
    return Prompt(
        turns=tuple(
            turn_of(message.role, [b.model_dump(exclude_none=True) for b in message.content])
            for message in body.messages
        ),
        system="\n".join(block.text for block in body.system or []),
        max_tokens=config.maxTokens or config.max_new_tokens or 4096,
        stop_sequences=tuple(config.stopSequences or ()),
        temperature=config.temperature,
        top_p=config.topP or config.top_p,
        tools=tools,
        tool_choice=choice,
        thinking=reasoning_tokens(config.reasoningConfig),
    )


def reasoning_tokens(config: ReasoningConfig | None) -> int:
    """Return the tokens of thinking that a `reasoningConfig` asks for."""
    if config is None or config.type == "disabled":
        return 0
    return tokens_of_effort(config.maxReasoningEffort)


def tools_of(config: dict[str, Any] | None) -> tuple[tuple[Tool, ...], str]:
    """Return the tools of a `toolConfig`, and its choice: `auto`, `any` or the name of a tool."""
    if not config:
        return (), "auto"
    specs = [tool["toolSpec"] for tool in config.get("tools", []) if tool.get("toolSpec")]
    tools = tuple(
        Tool(
            spec["name"],
            _schema_of(spec["inputSchema"].get("json")),
            spec.get("description") or "",
        )
        for spec in specs
    )
    choice = config.get("toolChoice") or {"auto": {}}
    chosen = choice.get("tool")
    return tools, chosen["name"] if chosen else next(iter(choice))


def _schema_of(value: Any) -> dict[str, Any]:
    """Return a tool's schema. Raise PromptError if it is no object: Converse allows any type."""
    if not isinstance(value, dict):
        raise PromptError("The JSON schema of a tool's input must be an object.")
    return value


def content_of(completion: Completion) -> list[dict[str, Any]]:
    """Return the content blocks of a completion: its reasoning, text and tool calls, if any."""
    content: list[dict[str, Any]] = []
    if completion.reasoning:
        content.append({"reasoningContent": {"reasoningText": {"text": completion.reasoning}}})
    if completion.text or not (completion.tool_calls or completion.reasoning):
        content.append({"text": completion.text})
    content += [
        {"toolUse": {"toolUseId": call.call_id, "name": call.name, "input": call.input}}
        for call in completion.tool_calls
    ]
    return content


def usage_of(completion: Completion) -> dict[str, Any]:
    """Return the token counts of a completion, as Converse names them."""
    counts: dict[str, Any] = {
        "inputTokens": completion.input_tokens,
        "outputTokens": completion.output_tokens,
        "totalTokens": completion.input_tokens + completion.output_tokens,
    }
    cache = completion.cache
    if cache is None:
        return counts
    counts["totalTokens"] += cache.read + cache.written
    written = (("1h", cache.written_1h), ("5m", cache.written_5m))
    return {
        **counts,
        "cacheReadInputTokens": cache.read,
        "cacheWriteInputTokens": cache.written,
        "cacheDetails": [{"ttl": ttl, "inputTokens": n} for ttl, n in written if n],
    }


def _own_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Return token counts as Nova's own answers name them: `cacheReadInputTokenCount`."""
    return {
        f"{name[:-1]}Count" if name.startswith("cache") else name: tokens
        for name, tokens in usage.items()
        if name != "cacheDetails"
    }


def answer(body: NovaBody, context: Context) -> Answer:
    """Answer a request in Nova's response format."""
    completion = context.backend.complete(context.model_id, prompt_of(body))
    if completion.reasoning:
        completion = replace(completion, reasoning=_REDACTED)
    return Answer(
        {
            "output": {"message": {"content": content_of(completion), "role": "assistant"}},
            "stopReason": STOP_REASONS[completion.stop],
            "usage": _own_usage(usage_of(completion)),
        },
        completion.input_tokens,
        completion.output_tokens,
        completion.cache,
    )


def stream(head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Write an answer as the events of Nova's stream, which are those of ConverseStream."""
    for name, value in events_of(head, _without_reasoning(pieces)):
        if name == "metadata":
            yield {name: {**value, "usage": _own_usage(value["usage"])}}
        else:
            yield {name: value}


def _without_reasoning(pieces: Pieces) -> Pieces:
    """Yield the pieces of an answer, with a mark in the place of its reasoning."""
    is_marked = False
    for piece in pieces:
        if isinstance(piece, Completion) or piece.kind != "reasoning":
            yield piece
        elif not is_marked:
            is_marked = True
            yield replace(piece, text=_REDACTED)


def events_of(_head: Head, pieces: Pieces) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the value of each event of a streamed answer."""
    yield "messageStart", {"role": "assistant"}
    index, block = -1, ""  # the block that is open: its kind, and the id of a call
    for piece in pieces:
        if isinstance(piece, Completion):
            yield "contentBlockStop", {"contentBlockIndex": max(index, 0)}
            yield "messageStop", {"stopReason": STOP_REASONS[piece.stop]}
            yield "metadata", {"usage": usage_of(piece), "metrics": {}}
            continue
        if piece.kind + piece.call_id != block:
            if index >= 0:
                yield "contentBlockStop", {"contentBlockIndex": index}
            index, block = index + 1, piece.kind + piece.call_id
            if piece.kind == "call":
                start = {"toolUse": {"toolUseId": piece.call_id, "name": piece.name}}
                yield "contentBlockStart", {"start": start, "contentBlockIndex": index}
        if piece.text:
            yield "contentBlockDelta", {"delta": _delta(piece), "contentBlockIndex": index}


def _delta(piece: Piece) -> dict[str, Any]:
    if piece.kind == "call":
        return {"toolUse": {"input": piece.text}}
    return (
        {"reasoningContent": {"text": piece.text}}
        if piece.kind == "reasoning"
        else {"text": piece.text}
    )


# Nova 2 does not show what it thinks.
_REDACTED = "[REDACTED]"

NOVA = Family(
    name="nova",
    models=re.compile(r"amazon\.nova-(?!canvas|reel|sonic|embed|.*multimodal-embed).+"),
    body=NovaBody,
    answer=answer,
    prompt=prompt_of,
    stream=stream,
    input_modalities=("TEXT", "IMAGE"),
    has_converse=True,
)
