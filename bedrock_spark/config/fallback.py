"""Who answers the stragglers, and how hard it may be asked."""

from __future__ import annotations

from pydantic import Field

from bedrock_spark.config.values import Section


class FallbackConfig(Section):
    """The model that answers stragglers, and how hard it may be asked."""

    model_id: str = Field(min_length=1, max_length=2048)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    attempts: int = Field(default=5, ge=1, le=20)
    concurrency: int = Field(default=8, ge=1, le=256)
    read_timeout_seconds: int = Field(default=300, ge=1, le=3600)
