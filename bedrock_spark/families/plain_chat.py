"""Read chat completions of the usual shape in one step, as plain_answers.py does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bedrock_spark.families.base import GUARDRAIL_ACTION, Answer
from bedrock_spark.families.openai_chat import split_reasoning

_Count = int | None


class _Details(msgspec.Struct, gc=False):
    reasoning_tokens: _Count = None
    cached_tokens: _Count = None


class Usage(msgspec.Struct, gc=False):
    """The tokens of a completion, as OpenAI counts them."""

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    completion_tokens_details: _Details | None = None
    prompt_tokens_details: _Details | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None
    stop_reason: str | None = None


class _Chat(msgspec.Struct, gc=False):
    choices: list[_Choice]
    usage: Usage
    guardrail: Any = msgspec.field(default=None, name=GUARDRAIL_ACTION)


_decode = msgspec.json.Decoder(_Chat).decode


def chat_reader(
    tag: str | None = None, *, is_open: bool = False
) -> Callable[[bytes], Answer | None]:
    """Return a reader of completions that are a text without tool calls.

    tag, is_open: as `openai_chat.read` takes them
    """

    def read(output: bytes) -> Answer | None:
        try:
            chat = _decode(output)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if chat.guardrail is not None or not chat.choices:
            return None
        choice, usage = chat.choices[0], chat.usage
        message = choice.message
        if message.refusal is not None or message.tool_calls is not None:
            return None
        text, reasoning = message.content, message.reasoning_content or message.reasoning
        if tag is not None and reasoning is None:
            text, reasoning = split_reasoning(text, tag, is_open=is_open)
        made, given = usage.completion_tokens_details, usage.prompt_tokens_details
        return Answer(
            text=text,
            reasoning=reasoning,
            stop_reason=choice.finish_reason or choice.stop_reason,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            reasoning_tokens=None if made is None else made.reasoning_tokens,
            cache_read_tokens=None if given is None else given.cached_tokens,
        )

    return read
