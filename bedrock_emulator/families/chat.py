"""Families that speak OpenAI's chat format on Bedrock: gpt-oss, Qwen, DeepSeek V3, Mistral Large,
AI21 Jamba, and the chat models of newer providers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from bedrock_emulator.answers.pieces import last_of, split_text
from bedrock_emulator.answers.prompt import (
    Backend,
    Completion,
    Piece,
    Pieces,
    Prompt,
    Stop,
    Tool,
)
from bedrock_emulator.answers.thinking import tokens_of_effort
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.families.content import text_of, turn_of
from bedrock_emulator.families.family import Answer, Body, Context, Family, Head, OpenBody

_FINISH_REASONS: dict[Stop, str] = {
    "end": "stop",
    "length": "length",
    "sequence": "stop",
    "tool": "tool_calls",
    "refusal": "content_filter",
}
_DEFAULT_MAX_TOKENS = 512
_OPENING, _CLOSING = "<reasoning>", "</reasoning>"
_REASONING = "The question is clear, answer it."
_CREATED = 1_700_000_000  # a fixed time: answers are the same every day


class Message(OpenBody):
    """One turn of the conversation. A tool's result names its call."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: Any = None
    tool_call_id: Any = None


class Function(OpenBody):
    """The name, description and input schema of a tool."""

    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolSpec(OpenBody):
    """A function the model may call."""

    type: Literal["function"] = "function"
    function: Function


class NamedFunction(OpenBody):
    """The name of a function."""

    name: str


class ToolChoice(OpenBody):
    """The function that must be called."""

    function: NamedFunction


class JsonSchema(OpenBody):
    """The JSON schema that the answer must fit."""

    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(OpenBody):
    """The format of the answer: text, any JSON object, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatBody(Body):
    """The members that these models share.

    The token limit has two names: `max_tokens` and `max_completion_tokens`.
    """

    messages: list[Message] = Field(min_length=1)
    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = None
    n: int | None = Field(default=None, ge=1, le=16)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: list[ToolSpec] | None = None
    # Mistral's word for `required` is `any`.
    tool_choice: Literal["auto", "none", "required", "any"] | ToolChoice | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    stop_sequences: list[str] | None = None

    @property
    def effort(self) -> str | None:
        """Return how much the model is asked to think."""
        return self.reasoning_effort


class QwenBody(ChatBody):
    """The members of Qwen, which has another name for the effort of thinking."""

    reasoning_config: Literal["low", "medium", "high"] | None = None

    @property
    def effort(self) -> str | None:
        return self.reasoning_config or self.reasoning_effort


def prompt_of(body: ChatBody) -> Prompt:
    """Convert a request body to a prompt."""
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or body.stop_sequences or []
    system = [text_of(m.content) for m in body.messages if m.role in ("system", "developer")]
    turns = [m for m in body.messages if m.role in ("user", "assistant", "tool")]
    return Prompt(
        turns=tuple(turn_of(m.role, m.content, m.tool_calls, m.tool_call_id) for m in turns),
        system="\n".join(system),
        max_tokens=body.max_completion_tokens or body.max_tokens or _DEFAULT_MAX_TOKENS,
        stop_sequences=tuple(stop),
        temperature=body.temperature,
        top_p=body.top_p,
        tools=tuple(_tool(spec.function) for spec in body.tools or ()),
        tool_choice=_choice(body.tool_choice),
        schema=_schema(body.response_format),
        wants_json=body.response_format is not None and body.response_format.type != "text",
        thinking=tokens_of_effort(body.effort) if body.effort else 0,
    )


def _tool(function: Function) -> Tool:
    return Tool(function.name, function.parameters or {}, function.description or "")


def _choice(choice: str | ToolChoice | None) -> str:
    if isinstance(choice, ToolChoice):
        return choice.function.name
    return "any" if choice == "required" else choice or "auto"


def _schema(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    if response_format is None or response_format.json_schema is None:
        return None
    return response_format.json_schema.schema_


def answer(body: ChatBody, context: Context) -> Answer:
    """Answer a request in the response format of a chat completion."""
    completion = context.backend.complete(context.model_id, prompt_of(body))
    return _chat_answer(completion, context, completion.text)


def answer_with_reasoning(body: ChatBody, context: Context) -> Answer:
    """Answer as gpt-oss does: the text starts with the reasoning.

    If the token limit leaves no room for text, the content is null. Real clients fail on that.
    """
    completion = _Reasoning(context.backend).complete(context.model_id, prompt_of(body))
    tagged = f"{_OPENING}{completion.reasoning}{_CLOSING}" if completion.reasoning else ""
    content = tagged + completion.text if completion.text or completion.tool_calls else None
    return _chat_answer(replace(completion, reasoning=""), context, content)


class _Reasoning:
    """A backend that always reasons. What is said by a server's own reasoning stays as it is."""

    def __init__(self, behind: Backend) -> None:
        self._behind = behind

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        return last_of(self.stream(model_id, prompt))

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        reasoning_tokens = count_tokens(_OPENING + _REASONING + _CLOSING)
        if prompt.max_tokens <= reasoning_tokens and not prompt.tools:
            input_tokens = count_tokens(prompt.text)
            yield Completion("", input_tokens, prompt.max_tokens, "length")
            return
        left = max(1, prompt.max_tokens - reasoning_tokens)
        pieces = self._behind.stream(model_id, replace(prompt, max_tokens=left, thinking=0))
        has_own, is_first = False, True
        for piece in pieces:
            if is_first:
                is_first = False
                has_own = isinstance(piece, Piece) and piece.kind == "reasoning"
                if not has_own:
                    yield from (Piece("reasoning", text) for text in split_text(_REASONING))
            if isinstance(piece, Completion) and not has_own:
                tokens = piece.output_tokens + reasoning_tokens
                yield replace(piece, output_tokens=tokens, reasoning=_REASONING)
            else:
                yield piece

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        return self._behind.embed(model_id, text, dimensions)


def _chat_answer(completion: Completion, context: Context, content: str | None) -> Answer:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if completion.reasoning:
        message["content"] = content or None
        message["reasoning_content"] = completion.reasoning
    if completion.tool_calls:
        message["content"] = completion.text or None
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.input)},
            }
            for call in completion.tool_calls
        ]
    body = {
        "id": _chat_id(context.model_id, repr(completion)),
        "object": "chat.completion",
        "created": _CREATED,
        "model": context.model_id,
        "choices": [
            {"index": 0, "message": message, "finish_reason": _FINISH_REASONS[completion.stop]}
        ],
        "usage": _usage(completion),
    }
    return Answer(body, completion.input_tokens, completion.output_tokens)


def _chat_id(model_id: str, identity: str) -> str:
    text = f"{model_id}\x1f{identity}".encode("utf-8", "surrogatepass")
    return f"chatcmpl-{hashlib.blake2b(text, digest_size=12).hexdigest()}"


def _usage(completion: Completion) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": completion.input_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.input_tokens + completion.output_tokens,
    }
    if completion.reasoning_tokens:
        details = {"reasoning_tokens": completion.reasoning_tokens}
        usage["completion_tokens_details"] = details
    return usage


def stream(head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Write an answer as the chunks of a chat completion stream."""
    yield from _chunks(head, pieces, lambda text: {"reasoning_content": text})


def stream_with_reasoning(head: Head, pieces: Pieces) -> Iterator[dict[str, Any]]:
    """Write an answer as gpt-oss does: each piece of reasoning has its own pair of tags."""
    yield from _chunks(head, pieces, lambda text: {"content": f"{_OPENING}{text}{_CLOSING}"})


def _chunks(
    head: Head, pieces: Pieces, reasoning: Callable[[str], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    shared = {
        "id": _chat_id(head.model_id, head.identity),
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": head.model_id,
    }

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": ""})
    calls: list[str] = []
    for piece in pieces:
        if isinstance(piece, Completion):
            yield {**chunk({}, _FINISH_REASONS[piece.stop]), "usage": _usage(piece)}
        elif piece.kind == "reasoning":
            yield chunk(reasoning(piece.text))
        elif piece.kind == "text":
            yield chunk({"content": piece.text})
        else:
            call: dict[str, Any] = {"function": {"arguments": piece.text}}
            if piece.call_id not in calls:
                calls.append(piece.call_id)
                function = {"name": piece.name, "arguments": piece.text}
                call = {"id": piece.call_id, "type": "function", "function": function}
            yield chunk({"tool_calls": [{"index": calls.index(piece.call_id), **call}]})


def _family(name: str, models: str, body: type[ChatBody] = ChatBody) -> Family:
    return Family(
        name=name,
        models=re.compile(models),
        body=body,
        answer=answer,
        prompt=prompt_of,
        stream=stream,
        has_converse=True,
    )


GPT_OSS = Family(
    name="gpt-oss",
    models=re.compile(r"openai\.gpt-oss-.+"),
    body=ChatBody,
    answer=answer_with_reasoning,
    prompt=prompt_of,
    stream=stream_with_reasoning,
    backend=_Reasoning,
    has_converse=True,
)
QWEN = _family("qwen", r"qwen\..+", QwenBody)
DEEPSEEK_V3 = _family("deepseek-v3", r"deepseek\.v3.*")
MISTRAL_CHAT = _family("mistral-chat", r"mistral\..+")
JAMBA = _family("jamba", r"ai21\.jamba.+")
# Chat models whose own format no page shows: users call them in this one, or through Converse.
OTHER_CHAT = _family(
    "other-chat", r"(google|minimax|moonshot|moonshotai|nvidia|openai|writer|xai|zai)\..+"
)
