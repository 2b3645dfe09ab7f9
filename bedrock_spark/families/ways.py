"""The ways to ask a model for an answer of a shape: a JSON Schema that is part of the request.

A family has its ways in the order in which they are tried: the first whose models match counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config.tools import ToolConfig

Body = Mapping[str, Any]
Schema = Mapping[str, Any]
ANY_MODEL = re.compile(r".*")

# Claude with structured outputs on Bedrock: Amazon Bedrock user guide, "Get validated JSON results
# from models"; Claude docs, "Structured outputs".
CLAUDE = re.compile(r"anthropic\.claude-((haiku|sonnet|opus)-4-5|(sonnet|opus)-4-6)(-.*)?")
# Opus 4.7 refuses it: "output_config.format: Extra inputs are not permitted" (vercel/ai #15352);
# litellm says the same of 4.8. They differ about Claude 5 and later: vercel/ai (5.0.131) uses it,
# litellm (1.110) does not. So nothing is sent to these models unless somebody asks for it.
CLAUDE_5 = re.compile(
    r"anthropic\.claude-((haiku|sonnet|opus)-([5-9]|\d\d)"
    r"|(?!haiku|sonnet|opus|instant|v\d|\d)[a-z]+)(-.*)?"
)
# Open-weight models with structured outputs: the page names no model; langchain-aws #883 and
# litellm (1.110) do. They do not name gpt-oss, Magistral, Devstral and the older models of Mistral.
OPEN_WEIGHT = re.compile(
    r"qwen\.qwen3-.*|deepseek\.v3.*|mistral\.(ministral-3|mistral-large-3|voxtral)-.*"
    r"|minimax\.minimax-m2|moonshot\.kimi-k2-thinking|nvidia\.nemotron-nano-3-.*|zai\.glm-5(\..*)?"
)

# The name of the schema, or of the tool that stands for it, in requests.
ANSWER = "answer"
_DESCRIPTION = "Write the answer."


@dataclass(frozen=True)
class Way:
    """One way.

    name: the member of the body, for messages
    models: matches the bare ids of the models that take it
    put: returns a body with the schema in it
    by_default: whether it is used without being asked for, because a source says that these models
        take it, and because the answer stays a text
    is_tool: whether the schema becomes a tool that must be called
    """

    name: str
    models: re.Pattern[str]
    put: Callable[[Body, Schema], dict[str, Any]]
    by_default: bool = False
    is_tool: bool = False


# How a family puts tools into its body: the body, the tools, and `auto`, `any` or a tool's name.
PutTools = Callable[[Body, Sequence[ToolConfig], str], dict[str, Any]]
FORCED_TOOL = "a forced tool"


def forced_tool(put_tools: PutTools, models: re.Pattern[str] = ANY_MODEL) -> Way:
    """Return the way in which the answer is the input of the only tool, which must be called."""

    def put(body: Body, schema: Schema) -> dict[str, Any]:
        description = schema.get("description")
        tool = ToolConfig.model_construct(
            name=ANSWER,
            input_schema=dict(schema),
            description=description if isinstance(description, str) else _DESCRIPTION,
            strict=False,
        )
        return put_tools(body, [tool], ANSWER)

    return Way(FORCED_TOOL, models, put, is_tool=True)
