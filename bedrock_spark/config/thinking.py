"""How long a model thinks before it answers: one form for all models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bedrock_spark.config.base import Section


class ThinkingConfig(Section):
    """An effort, or the most tokens of thinking, which are a part of `request.max_tokens`."""

    shorthand = "effort"

    effort: Literal["off", "low", "medium", "high"] | None = None
    # The API's smallest budget: Amazon Bedrock user guide, "Extended thinking".
    budget_tokens: int | None = Field(default=None, ge=1_024)

    @model_validator(mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        # YAML takes the word off for false.
        if value is False:
            return {"effort": "off"}
        is_off = isinstance(value, dict) and value.get("effort") is False
        return {**value, "effort": "off"} if is_off else value

    @model_validator(mode="after")
    def _is_one_of_both(self) -> ThinkingConfig:
        if (self.effort is None) == (self.budget_tokens is None):
            raise ValueError("needs one of effort and budget_tokens")
        return self
