"""Qwen.

Body and answer: a chat completion, according to public code that calls these models through
InvokeModel (jparkerweb/bedrock-wrapper, langchain-aws). The model cards of the Amazon Bedrock user
guide say that InvokeModel is supported, but do not show the body. Reasoning: Qwen's own models put
it inside <think>, or into reasoning_content if the server separates it. Which of the two Bedrock
does is not confirmed, so both are read, in a stream too. The opening <think> may be missing: then
it is at the end of the prompt, in the model's template. A stream has no way to know that in time.

Thinking: `reasoning_config` with an effort makes Qwen3 32B think, according to public code that
sends it through Converse (pydantic-ai), which adds such members to the model's own body. In an
InvokeModel body it is not confirmed. Without it, the model is said not to think.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families.base import Answer, Family, ReasoningTag, refuse_thinking
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.plain_chat import chat_reader

# Instruct models: their names on Hugging Face say so.
_ONLY_ANSWERS = re.compile(r"qwen\.qwen3-(235b-a22b-2507|coder|next|vl)-.*")


def think(body: dict[str, Any], thinking: ThinkingConfig, model_id: str) -> dict[str, Any]:
    """Put an effort into a chat. Raises ConfigError if the model does not take it."""
    if thinking.effort != "off" and _ONLY_ANSWERS.fullmatch(model_id):
        raise refuse_thinking("this model does not think; leave it out")
    return chat.think_by_effort(body, thinking, "reasoning_config")


def read(output: Json) -> Answer:
    """Read a chat answer. Reasoning inside <think> is moved out of the text."""
    return chat.read(output, tag="think", is_open=True)


FAMILY = Family(
    "qwen",
    re.compile(r"qwen\..*"),
    chat.build,
    read,
    read_plain=chat_reader("think", is_open=True),
    think=think,
    read_chunk=chat.read_chunk,
    tag=ReasoningTag("think"),
    endings=chat.ENDINGS,
    converse_images=re.compile(r".*-vl-.*"),
    put_tools=chat.put_tools,
    ways=chat.WAYS,
    chat_builder=chat.build,
)
