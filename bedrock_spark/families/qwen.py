"""Qwen.

Body and answer: a chat completion by public code that calls these models through InvokeModel
(jparkerweb/bedrock-wrapper, langchain-aws); the Amazon Bedrock user guide's model cards say that
InvokeModel is supported, and not how. Reasoning: Qwen's own models give it inside <think>, or as
reasoning_content where the server splits it off; which of them Bedrock does is not confirmed, so
both are read, in a stream, too.
"""

from __future__ import annotations

import re

from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families.base import Answer, Family, Json, ReasoningTag


def read(output: Json) -> Answer:
    """Read a chat answer; reasoning in the text is taken out of it."""
    return chat.read(output, tag="think")


FAMILY = Family(
    "qwen",
    re.compile(r"qwen\..*"),
    chat.build,
    read,
    read_chunk=chat.read_chunk,
    tag=ReasoningTag("think"),
)
