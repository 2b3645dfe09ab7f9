"""The request of each row."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bedrock_spark.config.answer_schema import COLUMNS, NONE, check_schema
from bedrock_spark.config.base import Columns, Section, check_json, one_or_many
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.config.tools import ANY, AUTO, ToolConfig

# pydantic warns of a field with the name of a method that it keeps for its first version.
warnings.filterwarnings("ignore", 'Field name "schema" in "RequestConfig"', UserWarning)

# Options that only some families take. A family lists those that it takes.
EXTRA_OPTIONS = (
    *("top_k", "seed", "dimensions", "input_type", "embedding_types"),
    *("width", "height", "aspect_ratio", "negative_prompt"),
    "thinking",
)

_BASE = 60
SCHEMA_WORDS = (COLUMNS, NONE)

EmbeddingTypes = Annotated[
    tuple[Literal["float", "int8", "uint8", "binary", "ubinary"], ...], BeforeValidator(one_or_many)
]


def ratio_of_yaml(value: object) -> object:
    """Return 16:9 as text: to YAML it is the whole number 969, in the base 60."""
    if isinstance(value, int) and not isinstance(value, bool):
        return ":".join(map(str, divmod(value, _BASE)))
    return value


class RequestConfig(Section):
    """The request of a row: a prompt, a whole body as a template, or a column with the body."""

    shorthand = "prompt"

    prompt: str | None = None
    images: Columns = ()
    documents: Columns = ()
    system: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = ()
    top_k: int | None = Field(default=None, ge=0)
    seed: int | None = Field(default=None, ge=0)
    dimensions: int | None = Field(default=None, ge=1)
    input_type: (
        Literal["search_document", "search_query", "classification", "clustering"] | None
    ) = None
    embedding_types: EmbeddingTypes | None = None
    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    aspect_ratio: Annotated[str | None, BeforeValidator(ratio_of_yaml)] = None
    negative_prompt: str | None = None
    thinking: ThinkingConfig | None = None
    schema: Any = None
    tools: tuple[ToolConfig, ...] = ()
    tool_choice: str | None = None
    body: dict[str, Any] | None = None
    body_column: str | None = None
    dedupe: bool = False
    on_truncated: Literal["error", "keep", "retry"] = "error"
    max_tokens_ceiling: int | None = Field(default=None, ge=1)
    on_refused: Literal["error", "keep", "retry"] = "error"

    @property
    def answer_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema that every answer must fit; None if only columns say it."""
        return self.schema if isinstance(self.schema, dict) else None

    @field_validator("body")
    @classmethod
    def _body_is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        check_json(value, "")
        return value

    @field_validator("schema")
    @classmethod
    def _is_a_schema(cls, value: Any) -> Any:
        if isinstance(value, dict):
            check_schema(value)
        elif value is not None and value not in SCHEMA_WORDS:
            raise ValueError(f"must be a JSON Schema, {' or '.join(SCHEMA_WORDS)}")
        return value

    @model_validator(mode="after")
    def _tools_fit(self) -> RequestConfig:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("tools: two have the same name; rename one")
        choice = self.tool_choice
        if choice is not None and not names:
            raise ValueError("tool_choice goes with tools")
        if choice is not None and choice not in (AUTO, ANY, *names):
            raise ValueError(
                f"tool_choice: is no tool; it must be one of {', '.join((AUTO, ANY, *names))}"
            )
        return self

    @model_validator(mode="after")
    def _retry_has_a_ceiling(self) -> RequestConfig:
        if self.on_truncated == "retry" and self.max_tokens_ceiling is None:
            raise ValueError(
                "on_truncated: retry needs max_tokens_ceiling, the most tokens that an answer may "
                "be given"
            )
        if self.on_truncated != "retry" and self.max_tokens_ceiling is not None:
            raise ValueError("max_tokens_ceiling goes with on_truncated: retry")
        return self

    @model_validator(mode="after")
    def _is_one_kind(self) -> RequestConfig:
        kinds = [n for n in ("prompt", "body", "body_column") if getattr(self, n) is not None]
        if len(kinds) != 1:
            present = " and ".join(kinds) if kinds else "none of them"
            raise ValueError(f"needs exactly one of prompt, body, body_column; it has {present}")
        options = ("system", "max_tokens", "temperature", "top_p", "tool_choice", *EXTRA_OPTIONS)
        several = ("images", "documents", "stop", "tools")
        stray = [n for n in options if getattr(self, n) is not None]
        stray += [n for n in several if getattr(self, n)]
        stray += ["schema"] if self.schema == COLUMNS else []
        if stray and self.prompt is None:
            raise ValueError(
                f"{', '.join(stray)} go with prompt; with {kinds[0]}, write them into the body"
            )
        return self
