"""Read answers of the usual shape in one step: decoded into a struct, without dicts.

Collect reads an answer per record, and decoding it takes most of that time. A reader here returns
the same as `Family.read`, or None for an answer that has another shape or a member that is rare:
then the whole answer is decoded and read by `Family.read`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bedrock_spark.families.base import GUARDRAIL_ACTION, Answer

_Count = int | None


class _ClaudeDetails(msgspec.Struct, gc=False):
    thinking_tokens: _Count = None


class _ClaudeUsage(msgspec.Struct, gc=False):
    input_tokens: _Count = None
    output_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    output_tokens_details: _ClaudeDetails | None = None


class _ClaudeBlock(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _ClaudeMessage(msgspec.Struct, gc=False):
    content: list[_ClaudeBlock]
    usage: _ClaudeUsage
    stop_reason: str | None = None
    guardrail: Any = msgspec.field(default=None, name=GUARDRAIL_ACTION)


class _ConverseUsage(msgspec.Struct, gc=False):
    inputTokens: _Count = None  # noqa: N815 - the names of the wire
    outputTokens: _Count = None  # noqa: N815
    cacheReadInputTokens: _Count = None  # noqa: N815
    cacheReadInputTokenCount: _Count = None  # noqa: N815
    cacheWriteInputTokens: _Count = None  # noqa: N815
    cacheWriteInputTokenCount: _Count = None  # noqa: N815


class _ConverseBlock(msgspec.Struct, gc=False):
    text: str | None = None
    toolUse: Any = None  # noqa: N815
    reasoningContent: Any = None  # noqa: N815
    citationsContent: Any = None  # noqa: N815


class _ConverseMessage(msgspec.Struct, gc=False):
    content: list[_ConverseBlock]


class _ConverseOutput(msgspec.Struct, gc=False):
    message: _ConverseMessage


class _ConverseAnswer(msgspec.Struct, gc=False):
    output: _ConverseOutput
    usage: _ConverseUsage
    stopReason: str | None = None  # noqa: N815
    guardrail: Any = msgspec.field(default=None, name=GUARDRAIL_ACTION)


_decode_claude = msgspec.json.Decoder(_ClaudeMessage).decode
_decode_converse = msgspec.json.Decoder(_ConverseAnswer).decode
_ERRORS = (msgspec.MsgspecError, RecursionError)


def read_claude(output: bytes) -> Answer | None:
    """Read a Messages answer that has texts and thinking alone."""
    try:
        message = _decode_claude(output)
    except _ERRORS:
        return None
    usage = message.usage
    given, made = usage.input_tokens, usage.output_tokens
    if message.guardrail is not None or given is None or made is None:
        return None
    content = message.content
    if len(content) == 1 and content[0].type == "text" and content[0].thinking is None:
        text, reasoning = content[0].text, None
    else:
        if any(block.type == "tool_use" for block in content):
            return None
        text = _joined([block.text for block in content])
        reasoning = _joined([block.thinking for block in content]) or None
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    details = usage.output_tokens_details
    return Answer(
        text=text,
        stop_reason=message.stop_reason,
        input_tokens=given + (read or 0) + (written or 0),
        output_tokens=made,
        reasoning=reasoning,
        reasoning_tokens=None if details is None else details.thinking_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def read_converse(output: bytes) -> Answer | None:
    """Read a Converse answer that has texts alone, and took nothing from a prompt cache."""
    try:
        answer = _decode_converse(output)
    except _ERRORS:
        return None
    usage = answer.usage
    read, written = usage.cacheReadInputTokens, usage.cacheWriteInputTokens
    if read is None:
        read = usage.cacheReadInputTokenCount
    if written is None:
        written = usage.cacheWriteInputTokenCount
    if read or written or answer.guardrail is not None:
        return None
    content = answer.output.message.content
    for block in content:
        is_rare = block.toolUse, block.reasoningContent, block.citationsContent
        if is_rare != (None, None, None):
            return None
    return Answer(
        text=_joined([block.text for block in content]),
        stop_reason=answer.stopReason,
        input_tokens=usage.inputTokens,
        output_tokens=usage.outputTokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _joined(texts: list[str | None]) -> str | None:
    if len(texts) == 1:
        return texts[0]
    known = [text for text in texts if text is not None]
    return "".join(known) if known else None
