"""Converse: one request and one answer for all chat models.

Shapes: botocore's service model of bedrock-runtime (ConverseRequest, ConverseResponse). A batch
record of type Converse is the request without its modelId.
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import (
    Answer,
    Family,
    Json,
    at,
    count_at,
    first_at,
    joined_text,
    json_text,
    prompt_of,
    text_at,
    without_none,
)


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a Converse request."""
    inference = without_none(
        {
            "maxTokens": request.max_tokens,
            "temperature": request.temperature,
            "topP": request.top_p,
            "stopSequences": list(request.stop),
        }
    )
    return without_none(
        {
            "messages": [{"role": "user", "content": [{"text": prompt_of(request)}]}],
            "system": [{"text": request.system}] if request.system is not None else None,
            "inferenceConfig": inference,
        }
    )


def read(output: Json) -> Answer:
    """Read a Converse answer, from a batch line or from the live API; Nova's own is the same."""
    content = at(output, "output", "message", "content")
    return Answer(
        text=joined_text(content),
        reasoning=joined_text(content, "reasoningContent", "reasoningText", "text"),
        tool_input=json_text(first_at(content, "toolUse", "input")),
        stop_reason=text_at(output, "stopReason"),
        input_tokens=count_at(output, "usage", "inputTokens"),
        output_tokens=count_at(output, "usage", "outputTokens"),
    )


FAMILY = Family("converse", None, build, read)
