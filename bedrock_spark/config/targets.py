"""Where batch jobs may run, where that is more than one place."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bedrock_spark.config.base import Section, check_role_arn, check_run_uri


class TargetConfig(Section):
    """One model in one Region. What it leaves out is that of `model` and `batch`."""

    model_id: str = Field(min_length=1, max_length=2048)
    region: str | None = None
    role_arn: Annotated[str, AfterValidator(check_role_arn)] | None = None
    max_active_jobs: int | None = Field(default=None, ge=1)
    uri: Annotated[str, AfterValidator(check_run_uri)] | None = None
