"""Qwen.

Body and answer: a chat completion, according to public code that calls these models through
InvokeModel (jparkerweb/bedrock-wrapper, langchain-aws). The model cards of the Amazon Bedrock user
guide say that InvokeModel is supported, but do not show the body. Reasoning: Qwen's own models put
it inside <think>, or into reasoning_content if the server separates it. Which of the two Bedrock
does is not confirmed, so both are read, in a stream too. The opening <think> may be missing: then
it is at the end of the prompt, in the model's template. A stream has no way to know that in time.
"""

from __future__ import annotations

import re

from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families.base import Answer, Family, Json, ReasoningTag


def read(output: Json) -> Answer:
    """Read a chat answer. Reasoning inside <think> is moved out of the text."""
    return chat.read(output, tag="think", is_open=True)


FAMILY = Family(
    "qwen",
    re.compile(r"qwen\..*"),
    chat.build,
    read,
    read_chunk=chat.read_chunk,
    tag=ReasoningTag("think"),
    endings=chat.ENDINGS,
    converse_images=re.compile(r".*-vl-.*"),
)
