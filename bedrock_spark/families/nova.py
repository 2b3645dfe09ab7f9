"""Amazon Nova: the models that understand and write text.

Body: Amazon Nova user guide, "Complete request schema", and Nova 2 user guide, "Using the Invoke
API" and "Request and response schema"; nearly Converse's, and the answer has Converse's shape.
`schemaVersion` is optional and left out. Reasoning (Nova 2) stands where Converse has it, by
"Reasoning capabilities" as `[REDACTED]`; the exact members in an InvokeModel answer are not
confirmed. Chunks of a stream: Amazon Nova user guide's example of it, which has Converse's events.
Not here: Canvas (images), Reel, Sonic, and Nova's multimodal embeddings.

Image blocks: the same two pages, with base64 where Converse has bytes; Micro takes none. Documents
are taken by the Converse API only, says "Multimodal support for Amazon Nova", so the linter refuses
them here; 5 documents, 4.5 MB each but for PDF and DOCX: "Document understanding". No page limits
images but by the size of the request.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families import converse
from bedrock_spark.families.base import Family

PATTERN = re.compile(r"amazon\.nova-(2-)?(micro|lite|pro|premier)-.*")
TEXT_ONLY = re.compile(r"amazon\.nova-micro-.*")
MEDIA = dataclasses.replace(converse.MEDIA, max_images=None, max_image_bytes=None)


def build(request: RequestConfig) -> dict[str, Any]:
    """Build the body, which is Converse's."""
    return converse.build_with(request, MEDIA)


FAMILY = Family(
    "nova", PATTERN, build, converse.read, takes_media=True, read_chunk=converse.read_chunk
)
