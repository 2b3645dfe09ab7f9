"""The models and Regions where batch jobs may run, if there are several."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bedrock_spark.config.base import Section, check_account, check_role_arn, check_run_uri


class TargetConfig(Section):
    """One model in one Region. A key that is left out has the value of `model` or `batch`."""

    model_id: str = Field(min_length=1, max_length=2048)
    region: str | None = None
    role_arn: Annotated[str, AfterValidator(check_role_arn)] | None = None
    max_active_jobs: int | None = Field(default=None, ge=1)
    uri: Annotated[str, AfterValidator(check_run_uri)] | None = None
    bucket_owner: Annotated[str, AfterValidator(check_account)] | None = None
