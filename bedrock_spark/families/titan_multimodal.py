"""Amazon Titan Multimodal Embeddings G1, of text.

Body and answer: Amazon Bedrock user guide, "Amazon Titan Multimodal Embeddings G1". An image, or
another length of the vector (embeddingConfig), takes request.body.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import (
    Answer,
    Family,
    Json,
    count_at,
    prompt_of,
    refuse,
    text_at,
    vector_at,
)


def build(request: RequestConfig) -> dict[str, Any]:
    """Build an embedding body: the prompt is the text that is embedded."""
    refuse(request, "titan_multimodal", "system", "max_tokens", "temperature", "top_p", "stop")
    return {"inputText": prompt_of(request)}


def read(output: Json) -> Answer:
    """Read an embedding; `message` says what went wrong while it was made."""
    return Answer(
        embedding=vector_at(output, "embedding"),
        stop_reason=text_at(output, "message"),
        input_tokens=count_at(output, "inputTextTokenCount"),
    )


FAMILY = Family("titan_multimodal", re.compile(r"amazon\.titan-embed-image-.*"), build, read)
