"""Amazon Nova multimodal embeddings: the embedding of a text.

Body and answer: Amazon Nova user guide, "Complete embeddings request and response schema"; the
answer is also in public code (litellm 1.110.2, aws-samples/bedrock-access-gateway #222).
`input_type` becomes `embeddingPurpose`: search_document is GENERIC_INDEX, search_query
GENERIC_RETRIEVAL. A text that is too long (8,172 tokens) is refused, not cut: `truncationMode` is
NONE. The answer has no token counts.

One request embeds one text or one image. To embed an image, a sound or a video, write request.body.
Not confirmed: that batch inference takes this model. A public price table has a batch price for it
in GovCloud only.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse
from bedrock_spark.families.json_members import Json, vector_at
from bedrock_spark.families.plain_vectors import read_nova

_PURPOSES = {
    "search_document": "GENERIC_INDEX",
    "search_query": "GENERIC_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
# The model's own default.
_DIMENSIONS = 3_072


def build(request: RequestConfig) -> dict[str, Any]:
    """Build an embedding body. The prompt is the text to embed."""
    refuse(request, "nova_embeddings", "system", "max_tokens", "temperature", "top_p", "stop")
    return {
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": {
            "embeddingPurpose": _PURPOSES[request.input_type or "search_document"],
            "embeddingDimension": request.dimensions or _DIMENSIONS,
            "text": {"truncationMode": "NONE", "value": prompt_of(request)},
        },
    }


def read(output: Json) -> Answer:
    """Read the embedding of the one input."""
    return Answer(embedding=vector_at(output, "embeddings", 0, "embedding"))


FAMILY = Family(
    "nova_embeddings",
    re.compile(r"amazon\.nova-.*embeddings.*"),
    build,
    read,
    read_plain=read_nova,
    extras=("dimensions", "input_type"),
)
