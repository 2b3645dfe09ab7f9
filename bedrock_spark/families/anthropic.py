"""Anthropic Claude, Messages API.

Body and answer: Amazon Bedrock user guide, "Anthropic Claude Messages API: Request and Response"; a
recorded line of a batch job's output has the same shape. Thinking and tool_use blocks: the same
guide, "Extended thinking" and "Tool use"; no recorded line has such blocks. Chunks of a stream:
Claude docs, "Streaming messages".

`request.thinking`: see claude_models.py. Before 4.6 there is no effort, so it becomes a budget;
Opus 4.5 would take one, but only with a beta header. Budget and answer share `max_tokens`. Claude
4.7 and later return the text of their thinking only if `display` asks for it: it is not asked for.
`output_config.format`: Amazon Bedrock user guide, "Get validated JSON results from models"; ways.py
says for which models. Other models get a tool that they must call ("Tool use").

Image blocks: the first of these pages; Bedrock takes base64 only (Claude docs, "Vision"). Document
blocks: Claude docs, "PDF support", says that Bedrock's InvokeModel takes them. Amazon Bedrock user
guide, "API restrictions", says that it takes no documents. So they are not confirmed. Formats and
the limit of 600 images: "Vision". 5 MB per image, counted in base64: an error message of Bedrock
(aws/aws-sdk-js-v3 #6785). Not checked here: 8000 pixels, 100 pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.config.tools import ANY, AUTO, ToolConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse_thinking
from bedrock_spark.families.claude_models import ClaudeModel, claude_model
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import (
    Json,
    at,
    joined_text,
    json_text,
    text_at,
    without_none,
)
from bedrock_spark.families.media_blocks import MediaBlocks, MediaRules
from bedrock_spark.families.plain_answers import read_claude
from bedrock_spark.families.signed_blocks import is_thought
from bedrock_spark.families.turns import Said, Turns, messages_of
from bedrock_spark.families.usage import claude_usage
from bedrock_spark.families.ways import CLAUDE, CLAUDE_5, Way, forced_tool
from bedrock_spark.templates.json_values import NOT_UTF8, Unrenderable
from bedrock_spark.templates.media import IMAGES, TEXTS, Media

VERSION = "bedrock-2023-05-31"
PATTERN = re.compile(r"anthropic\.claude-.*")


def build(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a Messages body. `max_tokens` is required by the API, so it is required here."""
    if request.max_tokens is None:
        raise ConfigError(
            "request.max_tokens: Anthropic models require it; set the most tokens of an answer"
        )
    *earlier, question = messages_of(turns, request, prompt_of(request))
    return without_none(
        {
            "anthropic_version": VERSION,
            "max_tokens": request.max_tokens,
            "system": request.system,
            "messages": [
                *({"role": m.role, "content": _text_or_blocks(m)} for m in earlier),
                {"role": "user", "content": _blocks(question)},
            ],
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop_sequences": list(request.stop),
        }
    )


def _text_or_blocks(said: Said) -> Any:
    return said.text if said.is_plain else _blocks(said)


def _blocks(said: Said) -> list[Any]:
    """Return the content blocks of a message. Results must come first ("Tool use")."""
    if said.signed:
        return [dict(block) for block in said.signed]
    text = {"type": "text", "text": said.text}
    return [
        *(
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in said.results
        ),
        *MediaBlocks.of(said, MEDIA, said.number),
        *([text] if said.text.strip() or said.is_plain else []),
        *(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.decoded_input}
            for call in said.calls
        ),
    ]


# The budgets of models that take no effort.
BUDGETS = {"low": 1_024, "medium": 4_096, "high": 16_384}


_DISABLED = {"thinking": {"type": "disabled"}}


def think(body: dict[str, Any], thinking: ThinkingConfig, model_id: str) -> dict[str, Any]:
    """Put thinking into a body, in the way of the model's version.

    If the id does not show the version, as that of an application inference profile, what is asked
    is sent in the newest form that there is for it. Raises ConfigError if the model does not take
    it.
    """
    model = claude_model(model_id)
    if model is not None:
        _check_thinking(model, thinking)
    if thinking.effort == "off":
        return {**body, **_DISABLED} if model is None or model.thinks_unasked else body
    if thinking.budget_tokens is not None:
        return _think_for(body, thinking.budget_tokens)
    if model is not None and not model.takes_effort:
        return _think_for(body, BUDGETS[str(thinking.effort)])
    output = {**body.get("output_config", {}), "effort": thinking.effort}
    return {**body, "thinking": {"type": "adaptive"}, "output_config": output}


def _check_thinking(model: ClaudeModel, thinking: ThinkingConfig) -> None:
    if not model.thinks:
        raise refuse_thinking("this model does not think; leave it out")
    if thinking.effort == "off" and model.always_thinks:
        raise refuse_thinking("this model always thinks; leave it out, or write low")
    if thinking.budget_tokens is not None and not model.takes_budget:
        raise refuse_thinking(
            "this model takes no budget_tokens; write an effort: low, medium or high"
        )


def _think_for(body: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Put a budget into a body. Raises ConfigError if results of tools follow no thinking.

    With a budget, the answer that called the tools must begin with its thinking. Adaptive thinking
    does not need it (Claude docs, "Adaptive thinking").
    """
    *earlier, question = body["messages"]
    if any(at(block, "type") == "tool_result" for block in question["content"]):
        called = earlier[-1]["content"]
        if not isinstance(called, list) or not is_thought(called[0]):
            raise refuse_thinking(
                "this model takes results of tools only after its own thinking, and there is none "
                "of this model in the answer that called them; leave thinking out until the next "
                "question"
            )
    return {**body, "thinking": {"type": "enabled", "budget_tokens": tokens}}


def put_schema(body: Json, schema: Json) -> dict[str, Any]:
    """Return a body that asks for an answer of a shape."""
    config = body.get("output_config")
    others = config if isinstance(config, Mapping) else {}
    form = {"type": "json_schema", "schema": dict(schema)}
    return {**body, "output_config": {**others, "format": form}}


def put_tools(body: Json, tools: Sequence[ToolConfig], choice: str) -> dict[str, Any]:
    """Return a body with tools."""
    specs = [
        without_none(
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": dict(tool.input_schema),
                "strict": tool.strict or None,
            }
        )
        for tool in tools
    ]
    chosen = {"type": choice} if choice in (AUTO, ANY) else {"type": "tool", "name": choice}
    return {**body, "tools": specs, "tool_choice": chosen}


def read(output: Json) -> Answer:
    """Read a Messages answer. Redacted thinking has no text and stays in the raw output only."""
    content = at(output, "content")
    blocks = content if isinstance(content, list) else ()
    calls = (at(b, "input") for b in blocks if at(b, "type") == "tool_use")
    return Answer(
        text=joined_text(content),
        reasoning=joined_text(content, "thinking") or None,
        tool_input=json_text(next(calls, None)),
        stop_reason=text_at(output, "stop_reason"),
        **claude_usage(at(output, "usage")),
    )


def read_chunk(chunk: Json) -> Answer:
    """Read an event of a Messages stream."""
    delta = at(chunk, "delta")
    # message_start holds the counts inside `message`, message_delta may repeat them outside.
    usage = at(chunk, "message", "usage")
    return Answer(
        text=text_at(delta, "text"),
        reasoning=text_at(delta, "thinking"),
        tool_input=text_at(delta, "partial_json"),
        stop_reason=text_at(delta, "stop_reason"),
        **claude_usage(usage if usage is not None else at(chunk, "usage")),
    )


def image_block(image: Media) -> Json:
    """Return the block of an image."""
    source = {"type": "base64", "media_type": image.media_type, "data": image.data}
    return {"type": "image", "source": source}


def document_block(document: Media, number: int) -> Json:
    """Return the block of a PDF or of a text file, which is sent as text.

    Raises Unrenderable if the text is not UTF-8.
    """
    if document.format not in TEXTS:
        source = {"type": "base64", "media_type": document.media_type, "data": document.data}
    else:
        try:
            text = document.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Unrenderable(NOT_UTF8) from None
        source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": source}


MEDIA = MediaRules(
    image=image_block,
    document=document_block,
    images=tuple(IMAGES),
    documents=("pdf", *TEXTS),
    max_images=600,
    # 5 MiB of base64, which has 4 characters for 3 bytes.
    max_image_bytes=5 * 1024 * 1024 * 3 // 4,
)

# Claude docs, "Handling stop reasons".
ENDINGS = endings_by_word(
    finished=("end_turn", "stop_sequence"),
    truncated=("max_tokens",),
    no_room=("model_context_window_exceeded", "pause_turn"),
    tool_use=("tool_use",),
)

FAMILY = Family(
    "anthropic",
    PATTERN,
    build,
    read,
    read_plain=read_claude,
    takes_media=True,
    extras=("top_k",),
    think=think,
    read_chunk=read_chunk,
    endings=ENDINGS,
    max_temperature=1,
    roles=("user", "assistant"),
    put_tools=put_tools,
    ways=(
        Way("output_config.format", CLAUDE, put_schema, by_default=True),
        Way("output_config.format", CLAUDE_5, put_schema),
        forced_tool(put_tools),
    ),
    chat_builder=build,
)
