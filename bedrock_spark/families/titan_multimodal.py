"""Amazon Titan Multimodal Embeddings G1: the embedding of a text.

Body and answer: Amazon Bedrock user guide, "Amazon Titan Multimodal Embeddings G1". To embed an
image, write request.body.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse
from bedrock_spark.families.json_members import Json, count_at, text_at, vector_at, without_none
from bedrock_spark.families.plain_vectors import read_titan


def build(request: RequestConfig) -> dict[str, Any]:
    """Build an embedding body. The prompt is the text to embed."""
    refuse(request, "titan_multimodal", "system", "max_tokens", "temperature", "top_p", "stop")
    size = without_none({"outputEmbeddingLength": request.dimensions})
    return without_none({"inputText": prompt_of(request), "embeddingConfig": size})


def read(output: Json) -> Answer:
    """Read an embedding. `message` holds an error of the model and becomes the stop reason."""
    return Answer(
        embedding=vector_at(output, "embedding"),
        stop_reason=text_at(output, "message"),
        input_tokens=count_at(output, "inputTextTokenCount"),
    )


FAMILY = Family(
    "titan_multimodal",
    re.compile(r"amazon\.titan-embed-image-.*"),
    build,
    read,
    read_plain=read_titan,
    extras=("dimensions",),
)
