"""Amazon Nova's text models: messages of content blocks, close to Converse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from bedrock_emulator.answers.prompt import Completion, Prompt, PromptError, Stop, Tool, Turn
from bedrock_emulator.families.anthropic import pieces
from bedrock_emulator.families.family import Answer, Body, Context, Family, OpenBody, text_of

STOP: dict[Stop, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "sequence": "stop_sequence",
    "tool": "tool_use",
}


class Block(Body):
    """A content block: exactly one kind of content."""

    text: str | None = None
    image: dict[str, Any] | None = None
    video: dict[str, Any] | None = None
    document: dict[str, Any] | None = None
    toolUse: dict[str, Any] | None = None  # noqa: N815 - the wire's name
    toolResult: dict[str, Any] | None = None  # noqa: N815
    cachePoint: dict[str, Any] | None = None  # noqa: N815


class Message(Body):
    """A turn."""

    role: Literal["user", "assistant"]
    content: list[Block] = Field(min_length=1)


class InferenceConfig(Body):
    """Both spellings occur in Amazon's own examples."""

    maxTokens: int | None = Field(default=None, ge=1)  # noqa: N815
    max_new_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=1)
    topP: float | None = Field(default=None, ge=0, le=1)  # noqa: N815
    top_p: float | None = Field(default=None, ge=0, le=1)
    topK: int | None = Field(default=None, ge=0)  # noqa: N815
    top_k: int | None = Field(default=None, ge=0)
    stopSequences: list[str] | None = None  # noqa: N815


class System(OpenBody):
    """A system prompt."""

    text: str


class InputSchema(OpenBody):
    """The schema of a tool's input, which is a JSON schema as an object."""

    json_: dict[str, Any] = Field(alias="json")


class ToolSpec(OpenBody):
    """A tool of the caller's."""

    name: str = Field(min_length=1)
    description: str | None = None
    inputSchema: InputSchema  # noqa: N815


class ToolItem(OpenBody):
    """A tool of the caller's, or one of Nova's own."""

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
    """https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html"""

    messages: list[Message] = Field(min_length=1)
    schemaVersion: str | None = None  # noqa: N815
    system: list[System] | None = None
    inferenceConfig: InferenceConfig | None = None  # noqa: N815
    toolConfig: ToolConfig | None = None  # noqa: N815
    additionalModelRequestFields: dict[str, Any] | None = None  # noqa: N815


def prompt_of(body: NovaBody) -> Prompt:
    """Return what the body asks."""
    config = body.inferenceConfig or InferenceConfig()
    given = body.toolConfig
    tools, choice = tools_of(given.model_dump(by_alias=True, exclude_none=True) if given else None)
    return Prompt(
        turns=tuple(
            turn_of(message.role, [b.model_dump(exclude_none=True) for b in message.content])
            for message in body.messages
        ),
        system="\n".join(part.text for part in body.system or []),
        max_tokens=config.maxTokens or config.max_new_tokens or 4096,
        stop_sequences=tuple(config.stopSequences or ()),
        temperature=config.temperature,
        top_p=config.topP or config.top_p,
        tools=tools,
        tool_choice=choice,
    )


def turn_of(role: str, content: list[dict[str, Any]]) -> Turn:
    """Return a turn of content blocks; one that brings a tool's result is the tool's."""
    is_result = any("toolResult" in block for block in content)
    return Turn("tool" if is_result else role, text_of(content))


def tools_of(config: dict[str, Any] | None) -> tuple[tuple[Tool, ...], str]:
    """Return the tools and the choice of a `toolConfig`."""
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
    named = choice.get("tool")
    return tools, named["name"] if named else next(iter(choice))


def _schema_of(value: Any) -> dict[str, Any]:
    """Return a tool's schema; Converse's shapes leave its type open."""
    if not isinstance(value, dict):
        raise PromptError("The JSON schema of a tool's input must be an object.")
    return value


def content_of(completion: Completion) -> list[dict[str, Any]]:
    """Return the content blocks of an answer: its text, if it has any, and its tool calls."""
    content: list[dict[str, Any]] = []
    if completion.text or not completion.tool_calls:
        content.append({"text": completion.text})
    content += [
        {"toolUse": {"toolUseId": call.call_id, "name": call.name, "input": call.input}}
        for call in completion.tool_calls
    ]
    return content


def usage_of(completion: Completion) -> dict[str, int]:
    """Return the usage of an answer."""
    return {
        "inputTokens": completion.input_tokens,
        "outputTokens": completion.output_tokens,
        "totalTokens": completion.input_tokens + completion.output_tokens,
    }


def answer(body: NovaBody, context: Context) -> Answer:
    """Answer in Nova's response shape."""
    completion = context.backend.complete(context.model_id, prompt_of(body))
    return Answer(
        {
            "output": {"message": {"content": content_of(completion), "role": "assistant"}},
            "stopReason": STOP[completion.stop],
            "usage": usage_of(completion),
        },
        completion.input_tokens,
        completion.output_tokens,
    )


def stream(answered: Answer) -> Iterator[dict[str, Any]]:
    """Cut a response into Nova's stream events."""
    yield {"messageStart": {"role": "assistant"}}
    for index, block in enumerate(answered.body["output"]["message"]["content"]):
        for piece in pieces(block.get("text", "")):
            yield {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": index}}
        yield {"contentBlockStop": {"contentBlockIndex": index}}
    yield {"messageStop": {"stopReason": answered.body["stopReason"]}}
    yield {"metadata": {"usage": answered.body["usage"], "metrics": {}}}


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
