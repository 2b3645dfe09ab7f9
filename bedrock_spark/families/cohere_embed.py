"""Cohere Embed, v3 and v4: the embedding of one text per row, v4 also of a text with images.

Body: Amazon Bedrock user guide, "Cohere Embed models" (v3) and "Cohere Embed v4". `input_type` is
required. The guide says to embed the texts of a corpus as search_document, and the rows of a table
are a corpus. `output_dimension` and `inputs`, the mixed content of texts and images, exist in v4
only: the linter refuses them for v3. The embedding of an image alone needs request.body. Answer:
`embeddings` is a list in public code (langchain4j). Not confirmed: that it is an object with one
list per number type if the request names types, and perhaps always for v4. So both are read. The
answer has no token counts.

Images of v4 are data URIs. The page names no formats and no size of an image; it takes 96 images in
a call. The formats are those of Cohere's own API ("Image embeddings").

2,048 characters for v3: the page of v3, and errors of the service (langgenius/dify #3942), which
`truncate` does not prevent. No page has such a limit for v4. The page of v3 allows empty texts, and
an empty text gets a vector (run-llama/llama_index #22382); prepare rejects them nevertheless.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, ModelLimits, prompt_of, refuse
from bedrock_spark.families.json_members import Json, at, vector_at, without_none
from bedrock_spark.families.media_blocks import MediaBlocks, MediaRules
from bedrock_spark.families.plain_vectors import read_cohere
from bedrock_spark.templates.media import IMAGES, Media


def build(request: RequestConfig) -> dict[str, Any]:
    """Build an embedding body: of the prompt, or of the prompt and the images of a row."""
    options = ("system", "max_tokens", "temperature", "top_p", "stop", "documents")
    refuse(request, "cohere_embed", *options)
    images = MediaBlocks.of(request, MEDIA)
    text = prompt_of(request)
    content = [*images, {"type": "text", "text": text}]
    return without_none(
        {
            "texts": [text] if not images else None,
            "inputs": [{"content": content}] if images else None,
            "input_type": request.input_type or "search_document",
            "output_dimension": request.dimensions,
            "embedding_types": list(request.embedding_types or ()),
        }
    )


def image_part(image: Media) -> Json:
    """Return the part of an image in mixed content: a data URI."""
    data = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": f"data:{image.media_type};base64,{data}"}


MEDIA = MediaRules(image=image_part, images=tuple(IMAGES), max_images=96)


def read(output: Json) -> Answer:
    """Read an embedding: `embeddings` is a list, or an object whose `float` is the list."""
    vector = vector_at(output, "embeddings", 0) or vector_at(output, "embeddings", "float", 0)
    if vector is not None:
        return Answer(embedding=vector)
    others = at(output, "embeddings")
    has_others = isinstance(others, dict) and any(vector_at(v, 0) for v in others.values())
    return Answer(has_other_vectors=has_others)


FAMILY = Family(
    "cohere_embed",
    re.compile(r"cohere\.embed-.*"),
    build,
    read,
    read_plain=read_cohere,
    limits=(
        ModelLimits(re.compile(r"cohere\.embed-(english|multilingual)-v3.*"), max_characters=2_048),
    ),
    takes_media=True,
    extras=("dimensions", "input_type", "embedding_types"),
)
