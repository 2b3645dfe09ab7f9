"""Amazon Nova: the models that understand and write text.

Body: Amazon Nova user guide, "Complete request schema", and Nova 2 user guide, "Using the Invoke
API" and "Request and response schema". It is nearly Converse's body, and the answer has Converse's
shape. `schemaVersion` is optional and is not sent. Chunks of a stream: the example in the Amazon
Nova user guide, which has Converse's events. Not in this family: Canvas (images), Reel, Sonic, and
Nova's multimodal embeddings.

Thinking (Nova 2, off by default): `reasoningConfig` is a member of `inferenceConfig`, say the pages
of Nova 2 above; "Core inference" calls it a member of the body. Reasoning is read where Converse
has it; "Reasoning capabilities" shows it as `[REDACTED]`, and its exact members in an InvokeModel
answer are not confirmed.

An answer of a shape is the input of a tool that must be called: Amazon Nova user guide, "Generating
structured output with Nova" and "Choosing a tool"; Nova 2 user guide, "Tool calling systems".

Image blocks: the same two guides, with base64 in place of Converse's bytes; Micro takes none. Only
the Converse API takes documents, says "Multimodal support for Amazon Nova", so the linter refuses
them here. 5 documents of 4.5 MB each, except PDF and DOCX: "Document understanding". For Nova 2, 5
images inside the request: Nova 2 user guide, "Multimodal understanding". No page limits those of
the older models, except by the size of the request.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.families import converse
from bedrock_spark.families.base import Family, ModelLimits, refuse_thinking
from bedrock_spark.families.plain_answers import read_converse
from bedrock_spark.families.turns import Turns
from bedrock_spark.families.ways import forced_tool

PATTERN = re.compile(r"amazon\.nova-(2-)?(micro|lite|pro|premier|omni)-.*")
THINKS = re.compile(r"amazon\.nova-2-.*")
TEXT_ONLY = re.compile(r"amazon\.nova-micro-.*")
MEDIA = dataclasses.replace(converse.MEDIA, max_images=None, max_image_bytes=None)


def build(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build the body: Converse's, and `topK`, which Converse has no place for."""
    body = converse.build_with(request, MEDIA, turns)
    if request.top_k is not None:
        body["inferenceConfig"] = {**body.get("inferenceConfig", {}), "topK": request.top_k}
    return body


def think(body: dict[str, Any], thinking: ThinkingConfig, model_id: str) -> dict[str, Any]:
    """Put thinking into a body. Raises ConfigError if the model does not take it."""
    if PATTERN.fullmatch(model_id) and not THINKS.fullmatch(model_id):
        raise refuse_thinking("this model does not think, only Nova 2 does; leave it out")
    if thinking.budget_tokens is not None:
        raise refuse_thinking("Nova takes no budget_tokens; write an effort: low, medium or high")
    if thinking.effort == "off":
        return body
    reasoning = {"type": "enabled", "maxReasoningEffort": thinking.effort}
    inference = {**body.get("inferenceConfig", {}), "reasoningConfig": reasoning}
    return {**body, "inferenceConfig": inference}


FAMILY = Family(
    "nova",
    PATTERN,
    build,
    converse.read,
    read_plain=read_converse,
    takes_media=True,
    extras=("top_k",),
    think=think,
    read_chunk=converse.read_chunk,
    endings=converse.ENDINGS,
    limits=(ModelLimits(re.compile(r"amazon\.nova-2-.*"), max_images=5),),
    max_temperature=1,
    roles=("user", "assistant"),
    put_tools=converse.put_tools,
    ways=(forced_tool(converse.put_tools),),
    chat_builder=build,
)
