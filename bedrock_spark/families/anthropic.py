"""Anthropic Claude, Messages API.

Body and answer: Amazon Bedrock user guide, "Anthropic Claude Messages API: Request and Response";
the answer's shape agrees with a recorded line of a batch job's output. Thinking and tool_use
blocks: the same guide, "Extended thinking" and "Tool use"; no recorded line had any.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.base import (
    Answer,
    Family,
    Json,
    at,
    count_at,
    joined_text,
    json_text,
    prompt_of,
    text_at,
    without_none,
)

VERSION = "bedrock-2023-05-31"
PATTERN = re.compile(r"anthropic\.claude-.*")


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a Messages body. `max_tokens` is required by the API, so it is required here."""
    if request.max_tokens is None:
        raise ConfigError("request.max_tokens: Anthropic models require it; say how long at most")
    return without_none(
        {
            "anthropic_version": VERSION,
            "max_tokens": request.max_tokens,
            "system": request.system,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": prompt_of(request)}]}
            ],
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop_sequences": list(request.stop),
        }
    )


def read(output: Json) -> Answer:
    """Read a Messages answer. Redacted thinking has no text and is left in the raw output."""
    content = at(output, "content")
    blocks = content if isinstance(content, list) else ()
    calls = (at(b, "input") for b in blocks if at(b, "type") == "tool_use")
    return Answer(
        text=joined_text(content),
        reasoning=joined_text(content, "thinking"),
        tool_input=json_text(next(calls, None)),
        stop_reason=text_at(output, "stop_reason"),
        input_tokens=count_at(output, "usage", "input_tokens"),
        output_tokens=count_at(output, "usage", "output_tokens"),
    )


FAMILY = Family("anthropic", PATTERN, build, read)
