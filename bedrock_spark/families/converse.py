"""Converse: one request shape and one answer shape for all chat models.

Shapes: botocore's service model of bedrock-runtime (ConverseRequest, ConverseResponse). A batch
record of type Converse is the request without its modelId; its bytes are base64, as always in the
rest-json protocol. Chunks of a stream: ConverseStreamOutput in the same model.

`textFormat` and tools: the same model; ways.py says for which models.

Images and documents: the same service model (ImageBlock, DocumentBlock). 20 images of 3.75 MB, 5
documents of 4.5 MB: Amazon Bedrock API reference, "Message". Larger PDF and DOCX for Claude 4 and
Nova: Amazon Bedrock user guide, "API restrictions". That page also says that Bedrock does not limit
images, so the limits of the reference may be too strict. Characters allowed in a document's name:
"DocumentBlock". Not checked here: 8000 pixels.

Thinking: `outputConfig.effort`, in the service model of botocore 1.44.8; older versions of boto3
refuse it in calls of the canary and the fallback. That batch inference takes it is not confirmed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.config.tools import ANY, AUTO, ToolConfig
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse_thinking
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import (
    Json,
    at,
    first_at,
    joined_text,
    json_text,
    text_at,
    without_none,
)
from bedrock_spark.families.media_blocks import MediaBlocks, MediaRules
from bedrock_spark.families.plain_answers import read_converse
from bedrock_spark.families.turns import Said, Turns, messages_of
from bedrock_spark.families.usage import converse_usage
from bedrock_spark.families.ways import ANSWER, CLAUDE, CLAUDE_5, OPEN_WEIGHT, Way
from bedrock_spark.templates.media import DOCUMENTS, IMAGES, Media

# Models whose own body has a place for thinking.
_OWN_THINKING = re.compile(r"anthropic\.|amazon\.nova-2-|openai\.gpt-oss-|qwen\.|deepseek\.")


def build_with(request: RequestConfig, media: MediaRules, turns: Turns = ()) -> dict[str, Any]:
    """Build a Converse request. Its images and documents follow the rules in `media`."""
    inference = without_none(
        {
            "maxTokens": request.max_tokens,
            "temperature": request.temperature,
            "topP": request.top_p,
            "stopSequences": list(request.stop),
        }
    )
    messages = messages_of(turns, request, prompt_of(request))
    return without_none(
        {
            "messages": [{"role": m.role, "content": _blocks(m, media)} for m in messages],
            "system": [{"text": request.system}] if request.system is not None else None,
            "inferenceConfig": inference,
        }
    )


def _blocks(said: Said, media: MediaRules) -> list[Any]:
    """Return the content blocks of a message: ToolResultBlock, ToolUseBlock and others."""
    return [
        *(
            {"toolResult": {"toolUseId": call.id, "content": [{"text": result}]}}
            for call, result in said.results
        ),
        *MediaBlocks.of(said, media, said.number),
        *([{"text": said.text}] if said.text.strip() or said.is_plain else []),
        *(
            {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.decoded_input}}
            for call in said.calls
        ),
    ]


def think(body: dict[str, Any], thinking: ThinkingConfig, model_id: str) -> dict[str, Any]:
    """Put an effort into a request. Raises ConfigError for anything else.

    For some models, Converse would need members of additionalModelRequestFields, which batch
    inference refuses.
    """
    if _OWN_THINKING.match(model_id):
        raise refuse_thinking(
            "batch inference refuses it in Converse requests to this model; leave out "
            "invocation: converse, and family: converse"
        )
    if thinking.effort == "off" or thinking.budget_tokens is not None:
        raise refuse_thinking("Converse takes an effort only; write low, medium or high")
    return {**body, "outputConfig": {**body.get("outputConfig", {}), "effort": thinking.effort}}


def build(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a Converse request."""
    return build_with(request, MEDIA, turns)


def put_schema(body: Json, schema: Json) -> dict[str, Any]:
    """Return a request for an answer of a shape. This API takes a schema as text."""
    config = body.get("outputConfig")
    others = config if isinstance(config, Mapping) else {}
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    form = {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": text, "name": ANSWER}},
    }
    return {**body, "outputConfig": {**others, "textFormat": form}}


def put_tools(body: Json, tools: Sequence[ToolConfig], choice: str) -> dict[str, Any]:
    """Return a request with tools. Nova's own body has them in the same form."""
    specs = [
        without_none(
            {
                "name": tool.name,
                "description": tool.description,
                "inputSchema": {"json": dict(tool.input_schema)},
                "strict": tool.strict or None,
            }
        )
        for tool in tools
    ]
    chosen: dict[str, Any] = {choice: {}} if choice in (AUTO, ANY) else {"tool": {"name": choice}}
    config = {"tools": [{"toolSpec": spec} for spec in specs], "toolChoice": chosen}
    return {**body, "toolConfig": config}


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
    truncated=("max_tokens",),
    no_room=("model_context_window_exceeded",),
    refused=("guardrail_intervened", "content_filtered"),
    tool_use=("tool_use",),
)

# Models that have no structured outputs: the table of litellm (1.110), and langchain4j #4552 for
# Nova and Cohere. Some of them could be asked by a tool, but batch inference takes no tools through
# Converse. A model of no known provider may have them.
_WITHOUT = (
    r"(amazon|cohere|meta|ai21|writer|twelvelabs|stability)\..*|anthropic\..*|deepseek\.r1.*"
    r"|mistral\.(mistral-7b|mixtral-|mistral-small-24|mistral-large-24|pixtral-).*|arn:.*"
)
_MAY_HAVE = re.compile(rf"{CLAUDE_5.pattern}|(?!{_WITHOUT}).*")
_TEXT_FORMAT = "outputConfig.textFormat"

FAMILY = Family(
    "converse",
    None,
    build,
    read,
    read_plain=read_converse,
    takes_media=True,
    think=think,
    read_chunk=read_chunk,
    endings=ENDINGS,
    max_temperature=1,
    roles=("user", "assistant"),
    put_tools=put_tools,
    ways=(
        Way(_TEXT_FORMAT, CLAUDE, put_schema, by_default=True),
        Way(_TEXT_FORMAT, OPEN_WEIGHT, put_schema, by_default=True),
        Way(_TEXT_FORMAT, _MAY_HAVE, put_schema),
    ),
    chat_builder=build,
)
