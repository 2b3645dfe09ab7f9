"""DeepSeek R1 (one prompt) and V3 (a chat).

R1's body: Amazon Bedrock user guide, "DeepSeek models". Template: the guide's example, which public
code repeats (topdayday/Claude-Agent). Answer: the same code and Nav25oct/deepseekonaws; `usage` is
not confirmed. The template ends with an open <think>, so the answer begins with reasoning and has
only the closing tag. There is no place for a system prompt, so `system` is refused: put it into the
prompt.

V3.1 and V3.2 take a chat, according to a public report of a batch job (V3.2) and to langchain-aws;
the guide shows only R1's body. Where V3 puts its reasoning is not confirmed: a <think> before the
text and reasoning_content are both read. V3.1's template ends with <think>, so the opening tag may
be missing. A stream has no way to know that in time.

Thinking: R1 always thinks. V3 takes `reasoning_effort` through Converse, according to public code
(litellm 1.110.2), and so perhaps in its own body: that is not confirmed, nor that it does not think
without it.

Not confirmed: a chunk of R1's stream is read like R1's answer, and a chunk of V3's like that of a
chat.

The values of a row go into the template unchanged: see llama.py.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families import plain_texts
from bedrock_spark.families.base import (
    Answer,
    Family,
    ReasoningTag,
    prompt_of,
    refuse,
    refuse_tokens,
)
from bedrock_spark.families.json_members import Json, at, joined_text, text_at, without_none
from bedrock_spark.families.plain_chat import chat_reader
from bedrock_spark.families.turns import Turns, refuse_tokens_in
from bedrock_spark.families.usage import openai_usage

# Special characters: the bars are U+FF5C, not |, and the low lines are U+2581, not _.
_BEGIN = "<\uff5cbegin\u2581of\u2581sentence\uff5c>"
_USER = "<\uff5cUser\uff5c>"
_ASSISTANT = "<\uff5cAssistant\uff5c>"
_END = "<\uff5cend\u2581of\u2581sentence\uff5c>"


def build_r1(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a body with the prompt in R1's template."""
    refuse(request, "deepseek_r1", "system")
    refuse_tokens(request, "deepseek_r1", _BEGIN, _USER, _ASSISTANT)
    refuse_tokens_in(turns, "deepseek_r1", _BEGIN, _USER, _ASSISTANT, _END)
    earlier = "".join(f"{_USER}{t.question}{_ASSISTANT}{t.answer}{_END}" for t in turns)
    return without_none(
        {
            "prompt": f"{_BEGIN}{earlier}{_USER}{prompt_of(request)}{_ASSISTANT}<think>\n",
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": list(request.stop),
        }
    )


def read_r1(output: Json) -> Answer:
    """Read a text completion. The text before </think> is reasoning."""
    completion = joined_text(at(output, "choices"))
    text, reasoning = chat.split_reasoning(completion, "think", is_open=True)
    return Answer(
        text=text,
        reasoning=reasoning,
        stop_reason=text_at(output, "choices", 0, "stop_reason"),
        **openai_usage(at(output, "usage")),
    )


def read_r1_chunk(chunk: Json) -> Answer:
    """Read a chunk of a text completion. Reasoning is still in its text: see streaming.py."""
    return Answer(
        text=joined_text(at(chunk, "choices")),
        stop_reason=text_at(chunk, "choices", 0, "stop_reason"),
        **openai_usage(at(chunk, "usage")),
    )


def think_v3(body: dict[str, Any], thinking: ThinkingConfig, model_id: str) -> dict[str, Any]:
    """Put an effort into a chat. Raises ConfigError for a budget."""
    return chat.think_by_effort(body, thinking, "reasoning_effort")


def read_v3(output: Json) -> Answer:
    """Read a chat answer. Reasoning inside <think> is moved out of the text."""
    return chat.read(output, tag="think", is_open=True)


R1 = Family(
    "deepseek_r1",
    re.compile(r"deepseek\.r1-.*"),
    build_r1,
    read_r1,
    read_plain=plain_texts.read_r1,
    read_chunk=read_r1_chunk,
    tag=ReasoningTag("think", is_open=True),
    max_temperature=1,
    endings=chat.ENDINGS,
    chat_builder=build_r1,
)
V3 = Family(
    "deepseek_v3",
    re.compile(r"deepseek\.v3.*"),
    chat.build,
    read_v3,
    read_plain=chat_reader("think", is_open=True),
    think=think_v3,
    read_chunk=chat.read_chunk,
    tag=ReasoningTag("think"),
    endings=chat.ENDINGS,
    put_tools=chat.put_tools,
    ways=chat.WAYS,
    chat_builder=chat.build,
)
