"""Read text completions of the usual shape in one step, as plain_answers.py does.

Each family names the members of its answer in its own way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bedrock_spark.families.base import GUARDRAIL_ACTION, Answer
from bedrock_spark.families.openai_chat import split_reasoning
from bedrock_spark.families.plain_chat import Usage

_Count = int | None
_ERRORS = (msgspec.MsgspecError, RecursionError)


class _Output(msgspec.Struct, gc=False):
    guardrail: Any = msgspec.field(default=None, name=GUARDRAIL_ACTION)


class _Llama(_Output, gc=False, kw_only=True):
    generation: str
    stop_reason: str | None = None
    prompt_token_count: _Count = None
    generation_token_count: _Count = None


class _TitanResult(msgspec.Struct, gc=False):
    tokenCount: _Count = None  # noqa: N815 - the names of the wire
    outputText: str | None = None  # noqa: N815
    completionReason: str | None = None  # noqa: N815


class _Titan(_Output, gc=False, kw_only=True):
    results: list[_TitanResult]
    inputTextTokenCount: _Count = None  # noqa: N815


class _Generation(msgspec.Struct, gc=False):
    text: str | None = None
    finish_reason: str | None = None


class _Command(_Output, gc=False, kw_only=True):
    generations: list[_Generation]


class _CommandR(_Output, gc=False, kw_only=True):
    text: str
    finish_reason: str | None = None
    tool_calls: Any = None


class _Completion(msgspec.Struct, gc=False):
    text: str | None = None
    stop_reason: str | None = None


class _Mistral(_Output, gc=False, kw_only=True):
    outputs: list[_Completion]


class _R1(_Output, gc=False, kw_only=True):
    choices: list[_Completion]
    usage: Usage | None = None


_decode_llama = msgspec.json.Decoder(_Llama).decode
_decode_titan = msgspec.json.Decoder(_Titan).decode
_decode_command = msgspec.json.Decoder(_Command).decode
_decode_command_r = msgspec.json.Decoder(_CommandR).decode
_decode_mistral = msgspec.json.Decoder(_Mistral).decode
_decode_r1 = msgspec.json.Decoder(_R1).decode


def read_llama(output: bytes) -> Answer | None:
    """Read an answer of Llama."""
    try:
        answer = _decode_llama(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None:
        return None
    return Answer(
        text=answer.generation,
        stop_reason=answer.stop_reason,
        input_tokens=answer.prompt_token_count,
        output_tokens=answer.generation_token_count,
    )


def read_titan(output: bytes) -> Answer | None:
    """Read an answer of Titan Text that has one result."""
    try:
        answer = _decode_titan(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None or len(answer.results) != 1:
        return None
    (result,) = answer.results
    return Answer(
        text=result.outputText,
        stop_reason=result.completionReason,
        input_tokens=answer.inputTextTokenCount,
        output_tokens=result.tokenCount,
    )


def read_command(output: bytes) -> Answer | None:
    """Read an answer of Cohere Command that has one generation."""
    try:
        answer = _decode_command(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None or len(answer.generations) != 1:
        return None
    (generation,) = answer.generations
    return Answer(text=generation.text, stop_reason=generation.finish_reason)


def read_command_r(output: bytes) -> Answer | None:
    """Read an answer of Cohere Command R without tool calls."""
    try:
        answer = _decode_command_r(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None or answer.tool_calls is not None:
        return None
    return Answer(text=answer.text, stop_reason=answer.finish_reason)


def read_mistral(output: bytes) -> Answer | None:
    """Read a text completion of Mistral that has one output."""
    try:
        answer = _decode_mistral(output)
    except _ERRORS:
        return None
    if answer.guardrail is not None or len(answer.outputs) != 1:
        return None
    (completion,) = answer.outputs
    return Answer(text=completion.text, stop_reason=completion.stop_reason)


def read_r1(output: bytes) -> Answer | None:
    """Read a text completion of DeepSeek R1 that has one choice."""
    try:
        answer = _decode_r1(output)
    except _ERRORS:
        return None
    usage = answer.usage
    if answer.guardrail is not None or usage is None or len(answer.choices) != 1:
        return None
    (completion,) = answer.choices
    text, reasoning = split_reasoning(completion.text, "think", is_open=True)
    made, given = usage.completion_tokens_details, usage.prompt_tokens_details
    return Answer(
        text=text,
        reasoning=reasoning,
        stop_reason=completion.stop_reason,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=None if made is None else made.reasoning_tokens,
        cache_read_tokens=None if given is None else given.cached_tokens,
    )
