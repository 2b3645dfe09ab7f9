"""Mistral AI: the older instruct models (one prompt) and the newer models (a chat).

Instruct: Amazon Bedrock user guide, "Mistral AI text completion", which names Mistral 7B, Mixtral
8x7B, Large and Small. Answer: langchain-aws. The template has no place for a system prompt:
Mistral's mistral-common puts it before the first user message ("Instruct Tokenization & Chat
Templates" in mistralai/cookbook), and so does this module.

Chat: the same guide, "Mistral AI chat completion", "Mistral Large (24.07)" and "Pixtral Large
(25.02)". No page lists stop sequences there, so they are refused. Not confirmed: that the answer
has OpenAI's shape (its reason is read as finish_reason and as stop_reason), and that Ministral,
Magistral and Large 3 take the same body.

Chunks of a stream: those of instruct have the members of its answer (langchain-aws); those of chat
are not confirmed.

The values of a row go into the template unchanged: see llama.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.tools import ANY, AUTO, ToolConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import openai_chat as chat
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse, refuse_tokens
from bedrock_spark.families.json_members import Json, at, joined_text, text_at, without_none
from bedrock_spark.families.plain_chat import chat_reader
from bedrock_spark.families.plain_texts import read_mistral
from bedrock_spark.families.turns import Turns, refuse_tokens_in
from bedrock_spark.families.ways import forced_tool

_TOKENS = "<s>", "</s>", "[INST]", "[/INST]"


def build_instruct(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a body with the prompt in the instruct template."""
    refuse_tokens(request, "mistral_instruct", *_TOKENS)
    refuse_tokens_in(turns, "mistral_instruct", *_TOKENS)
    system = "" if request.system is None else f"{request.system}\n\n"
    earlier = "".join(f"{t.question} [/INST] {t.answer}</s>[INST] " for t in turns)
    return without_none(
        {
            "prompt": f"<s>[INST] {system}{earlier}{prompt_of(request)} [/INST]",
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": list(request.stop),
        }
    )


def read_instruct(output: Json) -> Answer:
    """Read a text completion. It has no token counts."""
    return Answer(
        text=joined_text(at(output, "outputs")),
        stop_reason=text_at(output, "outputs", 0, "stop_reason"),
    )


def build_chat(request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
    """Build a chat body."""
    refuse(request, "mistral_chat", "stop")
    return chat.build(request, turns)


def put_tools(body: Json, tools: Sequence[ToolConfig], choice: str) -> dict[str, Any]:
    """Return a body with tools. A single tool is chosen by `any`: the API takes no name.

    Raises ConfigError for the name of one of several tools.
    """
    if choice != AUTO and choice != ANY and len(tools) > 1:
        raise ConfigError(
            f"request.tool_choice: models of the family mistral_chat take {AUTO} or {ANY}, not the "
            "name of a tool; leave the other tools out"
        )
    return {**chat.put_tools(body, tools, choice), "tool_choice": AUTO if choice == AUTO else ANY}


# The models of 24.07 and 25.02 have no structured outputs, but tools (the same pages).
_WITHOUT_FORMAT = re.compile(r"mistral\.(mistral-large-2407|pixtral-large)-.*")
_WAYS = (forced_tool(put_tools, _WITHOUT_FORMAT), *chat.WAYS)

_INSTRUCT = r"(mistral-7b-instruct|mixtral-8x7b-instruct|mistral-large-2402|mistral-small-2402)"

INSTRUCT = Family(
    "mistral_instruct",
    re.compile(rf"mistral\.{_INSTRUCT}-.*"),
    build_instruct,
    read_instruct,
    read_plain=read_mistral,
    extras=("top_k",),
    read_chunk=read_instruct,
    endings=chat.ENDINGS,
    max_temperature=1,
    chat_builder=build_instruct,
)
CHAT = Family(
    "mistral_chat",
    re.compile(rf"mistral\.(?!{_INSTRUCT}-).*"),
    build_chat,
    chat.read,
    read_plain=chat_reader(),
    read_chunk=chat.read_chunk,
    endings=chat.ENDINGS,
    converse_images=re.compile(
        r"mistral\.(pixtral|ministral-3|mistral-large-3|magistral-small-2509).*"
    ),
    put_tools=put_tools,
    ways=_WAYS,
    chat_builder=build_chat,
)
