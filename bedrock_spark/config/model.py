"""The model of the batch jobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from bedrock_spark.config.base import Section


class ModelConfig(Section):
    """The model of the batch jobs, and the wire format of its records.

    invocation: None if the family decides it
    """

    shorthand = "id"

    id: str = Field(min_length=1, max_length=2048)
    invocation: Literal["invoke_model", "converse"] | None = None
    family: str | None = None

    @field_validator("id")
    @classmethod
    def _batch_can_use_it(cls, value: str) -> str:
        if ":provisioned-model/" in value:
            raise ValueError(
                "is a provisioned model, which Bedrock does not support for batch inference; "
                "name the base model here and the provisioned one as fallback.model_id"
            )
        return value
