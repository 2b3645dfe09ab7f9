"""The request of each row."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bedrock_spark.config.base import Columns, Section, check_json, one_or_many
from bedrock_spark.config.thinking import ThinkingConfig

# Options that only some families take. A family lists those that it takes.
EXTRA_OPTIONS = (
    *("top_k", "seed", "dimensions", "input_type"),
    *("width", "height", "aspect_ratio", "negative_prompt"),
    "thinking",
)


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
    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    aspect_ratio: str | None = None
    negative_prompt: str | None = None
    thinking: ThinkingConfig | None = None
    body: dict[str, Any] | None = None
    body_column: str | None = None
    dedupe: bool = False

    @field_validator("body")
    @classmethod
    def _body_is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        check_json(value, "")
        return value

    @model_validator(mode="after")
    def _is_one_kind(self) -> RequestConfig:
        kinds = [n for n in ("prompt", "body", "body_column") if getattr(self, n) is not None]
        if len(kinds) != 1:
            present = " and ".join(kinds) if kinds else "none of them"
            raise ValueError(f"needs exactly one of prompt, body, body_column; it has {present}")
        options = ("system", "max_tokens", "temperature", "top_p", *EXTRA_OPTIONS)
        several = ("images", "documents", "stop")
        stray = [n for n in options if getattr(self, n) is not None]
        stray += [n for n in several if getattr(self, n)]
        if stray and self.prompt is None:
            raise ValueError(
                f"{', '.join(stray)} go with prompt; with {kinds[0]}, write them into the body"
            )
        return self
