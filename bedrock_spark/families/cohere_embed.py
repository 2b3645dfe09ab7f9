"""Cohere Embed, v3 and v4, of one text per row.

Body: Amazon Bedrock user guide, "Cohere Embed models" (v3) and "Cohere Embed v4". `input_type` is
required; the guide says to embed a corpus as search_document, and rows of a table are one. Queries,
other purposes, images, types of numbers and lengths take request.body. Answer: a list in public
code (langchain4j); that it is by type where types are asked for, or for v4 in any case, is not
confirmed, so both are read. It counts no tokens.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, Json, prompt_of, refuse, vector_at


def build(request: RequestConfig) -> dict[str, Any]:
    """Build an embedding body: the prompt is the text that is embedded."""
    refuse(request, "cohere_embed", "system", "max_tokens", "temperature", "top_p", "stop")
    return {"texts": [prompt_of(request)], "input_type": "search_document"}


def read(output: Json) -> Answer:
    """Read an embedding: `embeddings` is a list, or lists by type; the float one is taken."""
    vector = vector_at(output, "embeddings", 0) or vector_at(output, "embeddings", "float", 0)
    return Answer(embedding=vector)


FAMILY = Family("cohere_embed", re.compile(r"cohere\.embed-.*"), build, read)
