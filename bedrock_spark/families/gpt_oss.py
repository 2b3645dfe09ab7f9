"""OpenAI gpt-oss.

Body: Amazon Bedrock user guide, "OpenAI models": a chat completion, with max_completion_tokens.
`reasoning_effort`: the same guide; it cannot be turned off.
Answer: InvokeModel puts the reasoning, inside <reasoning>, before the text (promptfoo #9587, which
quotes the guide). `content` is null if the tokens are used up before the text begins (a public
report on batch jobs, and litellm's documentation). In a stream, every chunk of reasoning has its
own pair of tags (recordings of Bedrock in llama-stack's tests).
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families.base import Answer, Family, ReasoningTag, refuse_thinking
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.plain_chat import chat_reader
from bedrock_spark.families.turns import Turns


def build(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a chat body."""
    return chat.build(request, turns, limit="max_completion_tokens")


def think(body: dict[str, Any], thinking: ThinkingConfig, model_id: str) -> dict[str, Any]:
    """Put an effort into a chat. Raises ConfigError for anything else: it always thinks."""
    if thinking.effort == "off":
        raise refuse_thinking("this model always thinks; leave it out, or write low")
    return chat.think_by_effort(body, thinking, "reasoning_effort")


def read(output: Json) -> Answer:
    """Read a chat answer. Reasoning inside <reasoning> is moved out of the text."""
    return chat.read(output, tag="reasoning")


FAMILY = Family(
    "gpt_oss",
    re.compile(r"openai\.gpt-oss-.*"),
    build,
    read,
    read_plain=chat_reader("reasoning"),
    think=think,
    read_chunk=chat.read_chunk,
    tag=ReasoningTag("reasoning"),
    endings=chat.ENDINGS,
    put_tools=chat.put_tools,
    ways=chat.WAYS,
    chat_builder=build,
)
