"""Converse: one request shape and one answer shape for all chat models.

Shapes: botocore's service model of bedrock-runtime (ConverseRequest, ConverseResponse). A batch
record of type Converse is the request without its modelId; its bytes are base64, as always in the
rest-json protocol. Chunks of a stream: ConverseStreamOutput in the same model.

Images and documents: the same service model (ImageBlock, DocumentBlock). 20 images of 3.75 MB, 5
documents of 4.5 MB: Amazon Bedrock API reference, "Message". Larger PDF and DOCX for Claude 4 and
Nova: Amazon Bedrock user guide, "API restrictions". That page also says that Bedrock does not limit
images, so the limits of the reference may be too strict. Characters allowed in a document's name:
"DocumentBlock". Not checked here: 8000 pixels.
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import (
    Answer,
    Family,
    Json,
    at,
    first_at,
    joined_text,
    json_text,
    prompt_of,
    text_at,
    without_none,
)
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.media_blocks import MediaBlocks, MediaRules
from bedrock_spark.families.usage import converse_usage
from bedrock_spark.templates.media import DOCUMENTS, IMAGES, Media


def build_with(request: RequestConfig, media: MediaRules) -> dict[str, Any]:
    """Build a Converse request. Its images and documents follow the rules in `media`."""
    inference = without_none(
        {
            "maxTokens": request.max_tokens,
            "temperature": request.temperature,
            "topP": request.top_p,
            "stopSequences": list(request.stop),
        }
    )
    content = [*MediaBlocks.of(request, media), {"text": prompt_of(request)}]
    return without_none(
        {
            "messages": [{"role": "user", "content": content}],
            "system": [{"text": request.system}] if request.system is not None else None,
            "inferenceConfig": inference,
        }
    )


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a Converse request."""
    return build_with(request, MEDIA)


def read(output: Json) -> Answer:
    """Read a Converse answer, of a batch job or the live API. Nova's own answer is the same."""
    content = at(output, "output", "message", "content")
    return Answer(
        text=_text(content),
        reasoning=joined_text(content, "reasoningContent", "reasoningText", "text"),
        tool_input=json_text(first_at(content, "toolUse", "input")),
        stop_reason=text_at(output, "stopReason"),
        **converse_usage(at(output, "usage")),
    )


def _text(content: Any) -> str | None:
    """Join the texts of the blocks in their order: plain text, and text that has citations."""
    blocks = content if isinstance(content, list) else ()
    if not any(at(block, "citationsContent") for block in blocks):
        return joined_text(content)
    texts = (
        text_at(block, "text") or joined_text(at(block, "citationsContent", "content"))
        for block in blocks
    )
    return "".join(text for text in texts if text is not None)


def read_chunk(event: Json) -> Answer:
    """Read an event of ConverseStream. The chunks of Nova's own stream are the same."""
    delta = at(event, "contentBlockDelta", "delta")
    return Answer(
        text=text_at(delta, "text"),
        reasoning=text_at(delta, "reasoningContent", "text"),
        tool_input=text_at(delta, "toolUse", "input"),
        stop_reason=text_at(event, "messageStop", "stopReason"),
        **converse_usage(at(event, "metadata", "usage")),
    )


def image_block(image: Media) -> Json:
    """Return the block of an image."""
    return {"image": {"format": image.format, "source": {"bytes": image.data}}}


def document_block(document: Media, number: int) -> Json:
    """Return the block of a document. Its name is neutral, because the model reads it."""
    source = {"bytes": document.data}
    name = f"document {number}"
    return {"document": {"format": document.format, "name": name, "source": source}}


MEDIA = MediaRules(
    image=image_block,
    document=document_block,
    images=tuple(IMAGES),
    documents=tuple(DOCUMENTS),
    max_images=20,
    max_image_bytes=5 * 1024 * 1024 * 3 // 4,  # 3.75 MiB
    max_documents=5,
    max_document_bytes=9 * 1024 * 1024 // 2,  # 4.5 MiB
    may_be_larger=("pdf", "docx"),
)

# The service model's StopReason. Not listed, because nothing follows from them:
# malformed_model_output and malformed_tool_use.
ENDINGS = endings_by_word(
    finished=("end_turn", "stop_sequence"),
    truncated=("max_tokens", "model_context_window_exceeded"),
    refused=("guardrail_intervened", "content_filtered"),
    tool_use=("tool_use",),
)

FAMILY = Family(
    "converse",
    None,
    build,
    read,
    takes_media=True,
    read_chunk=read_chunk,
    endings=ENDINGS,
    max_temperature=1,
    roles=("user", "assistant"),
)
