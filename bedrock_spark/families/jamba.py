"""AI21 Labs Jamba.

Body: Amazon Bedrock user guide, "AI21 Labs Jamba models": a chat in OpenAI's shape. Not confirmed:
that the answer and its stream have OpenAI's shape too.
"""

from __future__ import annotations

import re

from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families.base import Family
from bedrock_spark.families.plain_chat import chat_reader

FAMILY = Family(
    "jamba",
    re.compile(r"ai21\.jamba-.*"),
    chat.build,
    chat.read,
    read_plain=chat_reader(),
    read_chunk=chat.read_chunk,
    endings=chat.ENDINGS,
    max_temperature=2,
    chat_builder=chat.build,
)
