"""Amazon Titan Text.

Body, answer and chunks of a stream: Amazon Bedrock user guide, "Amazon Titan Text models".
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import (
    Json,
    at,
    count_at,
    joined_text,
    text_at,
    without_none,
)
from bedrock_spark.families.plain_texts import read_titan


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a Titan Text body. The API has no place for a system prompt."""
    refuse(request, "titan_text", "system")
    generation = without_none(
        {
            "maxTokenCount": request.max_tokens,
            "temperature": request.temperature,
            "topP": request.top_p,
            "stopSequences": list(request.stop),
        }
    )
    return without_none({"inputText": prompt_of(request), "textGenerationConfig": generation})


def read(output: Json) -> Answer:
    """Read a Titan Text answer. Its output tokens are the sum over its results."""
    results = at(output, "results")
    items = results if isinstance(results, list) else ()
    counts = [n for n in (count_at(item, "tokenCount") for item in items) if n is not None]
    return Answer(
        text=joined_text(results, "outputText"),
        stop_reason=text_at(output, "results", 0, "completionReason"),
        input_tokens=count_at(output, "inputTextTokenCount"),
        output_tokens=sum(counts) if counts else None,
    )


def read_chunk(chunk: Json) -> Answer:
    """Read a chunk of a stream. The last chunk has the reason and the counts."""
    return Answer(
        text=text_at(chunk, "outputText"),
        stop_reason=text_at(chunk, "completionReason"),
        input_tokens=count_at(chunk, "inputTextTokenCount"),
        output_tokens=count_at(chunk, "totalOutputTextTokenCount"),
    )


FAMILY = Family(
    "titan_text",
    re.compile(r"amazon\.titan-(text|tg1)-(?!embed).*"),
    build,
    read,
    read_plain=read_titan,
    read_chunk=read_chunk,
    max_temperature=1,
    endings=endings_by_word(
        finished=("FINISH", "FINISHED", "STOP_CRITERIA_MET"),
        truncated=("LENGTH",),
        refused=("CONTENT_FILTERED",),
    ),
)
