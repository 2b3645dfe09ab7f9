"""OpenAI's chat completion: the part that several providers on Bedrock share.

Shape: OpenAI's API reference, "Create chat completion", which the Amazon Bedrock user guide refers
to in "OpenAI models". Each provider's differences are in its own file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.config.tools import ANY, AUTO, ToolConfig
from bedrock_spark.families.base import Answer, prompt_of, refuse_thinking
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import (
    Json,
    at,
    first_at,
    joined_text,
    json_text,
    text_at,
    without_none,
)
from bedrock_spark.families.turns import Said, Turns, messages_of
from bedrock_spark.families.usage import openai_usage
from bedrock_spark.families.ways import ANSWER, ANY_MODEL, OPEN_WEIGHT, Way


def build(request: RequestConfig, turns: Turns = (), limit: str = "max_tokens") -> dict[str, Any]:
    """Build a chat. `limit` is the key of the most tokens of an answer."""
    has_system = request.system is not None
    system = [{"role": "system", "content": request.system}] if has_system else []
    messages = messages_of(turns, request, prompt_of(request))
    return without_none(
        {
            "messages": [*system, *(each for said in messages for each in _messages(said))],
            limit: request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": list(request.stop),
        }
    )


def _messages(said: Said) -> Iterator[dict[str, Any]]:
    """Yield the messages of one: results of tools are messages of their own, before the text."""
    for call, result in said.results:
        yield {"role": "tool", "tool_call_id": call.id, "content": result}
    if said.calls:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.input or "{}"},
            }
            for call in said.calls
        ]
        text = said.text if said.text.strip() else None
        yield {"role": said.role, "content": text, "tool_calls": calls}
    elif said.text.strip() or said.is_plain:
        yield {"role": said.role, "content": said.text}


def think_by_effort(body: dict[str, Any], thinking: ThinkingConfig, key: str) -> dict[str, Any]:
    """Put an effort into a chat. Raises ConfigError for a budget. `off` changes nothing."""
    if thinking.budget_tokens is not None:
        raise refuse_thinking(
            "this model takes no budget_tokens; write an effort: low, medium or high"
        )
    return body if thinking.effort == "off" else {**body, key: thinking.effort}


def put_schema(body: Json, schema: Json) -> dict[str, Any]:
    """Return a body that asks for an answer of a shape.

    The form of the Amazon Bedrock user guide, "Get validated JSON results from models"
    (InvokeModel, open-weight models).
    """
    form = {"type": "json_schema", "json_schema": {"name": ANSWER, "schema": dict(schema)}}
    return {**body, "response_format": form}


WAYS = (
    Way("response_format", OPEN_WEIGHT, put_schema, by_default=True),
    Way("response_format", ANY_MODEL, put_schema),
)


def put_tools(body: Json, tools: Sequence[ToolConfig], choice: str) -> dict[str, Any]:
    """Return a body with tools."""
    specs = [
        without_none(
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.input_schema),
                "strict": tool.strict or None,
            }
        )
        for tool in tools
    ]
    named = {"type": "function", "function": {"name": choice}}
    chosen = {AUTO: AUTO, ANY: "required"}.get(choice, named)
    functions = [{"type": "function", "function": spec} for spec in specs]
    return {**body, "tools": functions, "tool_choice": chosen}


# OpenAI's API reference, "The chat completion object"; model_length: Mistral's API reference.
ENDINGS = endings_by_word(
    finished=("stop",),
    truncated=("length",),
    no_room=("model_length",),
    refused=("content_filter",),
    tool_use=("tool_calls", "function_call"),
)


def read(output: Json, tag: str | None = None, *, is_open: bool = False) -> Answer:
    """Read the first choice.

    tag, is_open: the tag around reasoning at the start of the text, if any: `split_reasoning`

    `content` may be null: reasoning used up the tokens, or the answer is a tool call or a refusal.
    """
    choice = at(output, "choices", 0)
    message = at(choice, "message")
    content = at(message, "content")
    text = content if isinstance(content, str) else joined_text(content)
    reasoning = text_at(message, "reasoning_content") or text_at(message, "reasoning")
    if tag is not None and reasoning is None:
        text, reasoning = split_reasoning(text, tag, is_open=is_open)
    refusal = text_at(message, "refusal") or None
    stop_reason = text_at(choice, "finish_reason") or text_at(choice, "stop_reason")
    return Answer(
        text=text if text is not None else refusal,
        reasoning=reasoning,
        tool_input=json_text(first_at(at(message, "tool_calls"), "function", "arguments")),
        stop_reason=stop_reason if refusal is None else "refusal",
        **openai_usage(at(output, "usage")),
    )


def read_chunk(chunk: Json) -> Answer:
    """Read a chunk of a streamed completion: like an answer, with `delta` in place of `message`.

    Some of Mistral's chunks are reported to have `message`, so both are read.
    """
    choice = at(chunk, "choices", 0)
    delta = at(choice, "delta") or at(choice, "message")
    content = at(delta, "content")
    return Answer(
        text=content if isinstance(content, str) else joined_text(content),
        reasoning=text_at(delta, "reasoning_content") or text_at(delta, "reasoning"),
        tool_input=joined_text(at(delta, "tool_calls"), "function", "arguments"),
        stop_reason=text_at(choice, "finish_reason") or text_at(choice, "stop_reason"),
        **openai_usage(at(chunk, "usage")),
    )


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
    return True


def split_reasoning(
    text: str | None, tag: str, *, is_open: bool = False
) -> tuple[str | None, str | None]:
    """Split reasoning inside a tag off the start of a text. Return the text and the reasoning.

    is_open: the opening tag may be at the end of the prompt, so that the text has only the
        closing tag

    Reasoning that was cut off has an opening tag and no closing tag: then the text is None. A tag
    later in the text is part of the text. So is a closing tag in a text that is JSON as a whole.
    """
    if text is None:
        return None, None
    before, closing, after = text.partition(f"</{tag}>")
    before = before.strip()
    opening = f"<{tag}>"
    is_reasoning = before.startswith(opening) or (
        is_open and closing and opening not in before and not _is_json(text)
    )
    if not is_reasoning:
        return text, None
    reasoning = before.removeprefix(opening).strip()
    return after.lstrip("\r\n") if closing else None, reasoning or None
