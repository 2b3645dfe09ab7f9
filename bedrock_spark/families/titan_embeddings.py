"""Amazon Titan Text Embeddings, v1 and v2.

Body and answer: Amazon Bedrock user guide, "Amazon Titan Embeddings Text". `dimensions` exists in
v2 only: the linter refuses it for v1. So does `normalize`, which needs request.body. 50,000
characters, and a text that is not empty: the same page; its other limit, 8,192 tokens, cannot be
counted here.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, ModelLimits, prompt_of, refuse
from bedrock_spark.families.json_members import Json, at, count_at, vector_at, without_none
from bedrock_spark.families.plain_vectors import read_titan


def build(request: RequestConfig) -> dict[str, Any]:
    """Build an embedding body. The prompt is the text to embed."""
    refuse(request, "titan_embeddings", "system", "max_tokens", "temperature", "top_p", "stop")
    return without_none({"inputText": prompt_of(request), "dimensions": request.dimensions})


def read(output: Json) -> Answer:
    """Read an embedding: `embedding`, else the `float` one of v2's `embeddingsByType`."""
    vector = vector_at(output, "embedding") or vector_at(output, "embeddingsByType", "float")
    others = at(output, "embeddingsByType") if vector is None else None
    has_others = isinstance(others, dict) and any(vector_at(v) for v in others.values())
    return Answer(
        embedding=vector,
        input_tokens=count_at(output, "inputTextTokenCount"),
        has_other_vectors=has_others,
    )


FAMILY = Family(
    "titan_embeddings",
    re.compile(r"amazon\.titan-embed-(g1-)?text-.*"),
    build,
    read,
    read_plain=read_titan,
    limits=(ModelLimits(re.compile(".*"), max_characters=50_000),),
    extras=("dimensions",),
)
