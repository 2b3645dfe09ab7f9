"""The canary: a few records that are sent to the model before the first batch job."""

from __future__ import annotations

from pydantic import Field

from bedrock_spark.config.base import Section


class CanaryConfig(Section):
    """How many records are sent, to which model, and which share of them may fail."""

    records: int = Field(default=5, ge=0, le=100)
    max_error_share: float = Field(default=0.2, ge=0, lt=1)
    max_truncated_share: float = Field(default=0.2, ge=0, le=1)
    model_id: str | None = Field(default=None, min_length=1, max_length=2048)
