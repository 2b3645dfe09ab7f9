"""Cohere Command (one prompt), and Command R and R+ (one message of a chat).

Bodies: Amazon Bedrock user guide, "Cohere Command models" and "Cohere Command R and Command R+
models". Answers: langchain-aws (llms/bedrock.py) for Command, public code (ren8k/qiita_articles)
for the text of Command R; its finish_reason and tool_calls are not confirmed. Neither answer has
token counts: InvokeModel returns them in headers, which a batch's output does not have.

Chunks of a stream: Command sends its whole answer as one chunk in AWS's example
(aws-doc-sdk-examples), or pieces of text if the body has `stream` (langchain-aws). Command R sends
Cohere's own events (Cohere's API reference, "Chat", version 1). That Bedrock's events are the same
is not confirmed.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families import plain_texts
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse
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
from bedrock_spark.families.turns import Turns, spoken


def build_command(request: RequestConfig) -> dict[str, Any]:
    """Build a Command body. The API has no place for a system prompt."""
    refuse(request, "cohere_command", "system")
    return {"prompt": prompt_of(request), **_options(request)}


def build_command_r(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a Command R body. The API calls the system prompt `preamble`."""
    roles = {"user": "USER", "assistant": "CHATBOT"}
    earlier = [{"role": roles[role], "message": text} for role, text in spoken(turns)]
    more = without_none({"preamble": request.system, "chat_history": earlier})
    return {"message": prompt_of(request), **more, **_options(request)}


def _options(request: RequestConfig) -> dict[str, Any]:
    return without_none(
        {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "p": request.top_p,
            "k": request.top_k,
            "seed": request.seed,
            "stop_sequences": list(request.stop),
        }
    )


def read_command(output: Json) -> Answer:
    """Read a Command answer."""
    return Answer(
        text=joined_text(at(output, "generations")),
        stop_reason=text_at(output, "generations", 0, "finish_reason"),
    )


def read_command_r(output: Json) -> Answer:
    """Read a Command R answer."""
    return Answer(
        text=text_at(output, "text"),
        tool_input=json_text(first_at(at(output, "tool_calls"), "parameters")),
        stop_reason=text_at(output, "finish_reason"),
    )


_END_OF_TEXT = "<EOS_TOKEN>"


def read_command_chunk(chunk: Json) -> Answer:
    """Read a chunk: a piece of text, or the whole answer."""
    piece = text_at(chunk, "text")
    whole = read_command(chunk)
    return Answer(
        text=whole.text if piece is None else piece.removesuffix(_END_OF_TEXT),
        stop_reason=whole.stop_reason or text_at(chunk, "finish_reason"),
    )


# Cohere's API reference, "Chat" and "Generate".
_ENDINGS = endings_by_word(
    finished=("COMPLETE", "STOP_SEQUENCE"),
    truncated=("MAX_TOKENS",),
    no_room=("ERROR_LIMIT",),
    refused=("ERROR_TOXIC",),
    tool_use=("TOOL_CALL",),
)

COMMAND = Family(
    "cohere_command",
    re.compile(r"cohere\.command-(light-)?text-.*"),
    build_command,
    read_command,
    read_plain=plain_texts.read_command,
    extras=("top_k",),
    read_chunk=read_command_chunk,
    endings=_ENDINGS,
    max_temperature=5,
)
COMMAND_R = Family(
    "cohere_command_r",
    re.compile(r"cohere\.command-r-.*"),
    build_command_r,
    read_command_r,
    read_plain=plain_texts.read_command_r,
    extras=("top_k", "seed"),
    read_chunk=read_command_r,
    endings=_ENDINGS,
    chat_builder=build_command_r,
)
