"""The tools that a model may call. The input of its call becomes the column `tool_input`."""

from __future__ import annotations

import re
from typing import Any

from pydantic import field_validator

from bedrock_spark.config.answer_schema import check_schema
from bedrock_spark.config.base import Section

# The service model's ToolName; other APIs allow no more.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# What `request.tool_choice` may be, besides a tool's name.
AUTO, ANY = "auto", "any"


class ToolConfig(Section):
    """One tool, in the same form for all models.

    input_schema: the JSON Schema of its input
    strict: whether the service must keep the input to the schema
    """

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool = False

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("must have 1 to 64 letters, digits, underscores and hyphens")
        if value in (AUTO, ANY):
            raise ValueError("is a word of request.tool_choice; use another name")
        return value

    @field_validator("input_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_schema(value)
        return value
