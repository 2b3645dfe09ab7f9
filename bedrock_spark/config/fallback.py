"""The fallback: the model that answers unanswered records, and the limits on its calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bedrock_spark.config.base import Section
from bedrock_spark.limits import PROVISIONED_MODEL_ARN


class CreateConfig(Section):
    """Provisioned throughput to buy for the run, and to delete when it ends."""

    model_units: int = Field(ge=1)
    commitment: Literal["none"] = "none"
    confirm: bool = False

    @model_validator(mode="after")
    def _is_confirmed(self) -> CreateConfig:
        if not self.confirm:
            raise ValueError(
                f"would buy {self.model_units} model units, which are billed by the hour from "
                "their creation to their deletion; to agree, set confirm: true"
            )
        return self


class GuardrailConfig(Section):
    """A guardrail that checks the input and the output of the model."""

    id: str = Field(min_length=1, max_length=2048)
    version: str = Field(min_length=1, max_length=8, coerce_numbers_to_str=True)


class FallbackConfig(Section):
    """The model that answers unanswered records, and the limits on its calls."""

    shorthand = "model_id"

    model_id: str = Field(min_length=1, max_length=2048)
    create: CreateConfig | None = None
    max_share: float = Field(default=0.10, ge=0, le=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    rounds: int = Field(default=3, ge=1, le=100)
    attempts: int = Field(default=5, ge=1, le=20)
    concurrency: int = Field(default=32, ge=1, le=256)
    read_timeout_seconds: int = Field(default=300, ge=1, le=3600)
    ask_unfound: bool = False
    content_type: str = Field(default="application/json", min_length=1, max_length=100)
    service_tier: Literal["auto", "priority", "default", "flex", "reserved"] = "auto"
    guardrail: GuardrailConfig | None = None
    performance: Literal["standard", "optimized"] | None = None

    @model_validator(mode="after")
    def _create_needs_a_base_model(self) -> FallbackConfig:
        if self.create is not None and (
            PROVISIONED_MODEL_ARN.fullmatch(self.model_id) or "inference-profile/" in self.model_id
        ):
            raise ValueError(
                "create needs model_id to be the id of the model to provision; "
                f"{self.model_id} is not such an id"
            )
        return self
