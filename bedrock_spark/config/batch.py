"""How shards are cut and batch jobs are run. AWS quotas are defaults that a config may override."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bedrock_spark import limits
from bedrock_spark.config.base import Bytes, Columns, Section, check_account, check_role_arn


class ShardsConfig(Section):
    """The bounds of one shard, which is the input of one batch job."""

    max_records: int = Field(default=limits.MAX_RECORDS_PER_JOB, ge=1)
    max_files: int = Field(default=1, ge=1, le=limits.MAX_FILES_PER_JOB)
    max_bytes: Bytes = limits.MAX_SHARD_BYTES
    max_row_bytes: Bytes = limits.MAX_SHARD_ROW_BYTES
    min_records: int = Field(default=limits.MIN_RECORDS_PER_JOB, ge=1)

    @model_validator(mode="after")
    def _min_is_at_most_max(self) -> ShardsConfig:
        if self.min_records > self.max_records:
            raise ValueError(
                f"min_records ({self.min_records}) is above max_records ({self.max_records})"
            )
        return self

    @model_validator(mode="after")
    def _files_fit_into_a_job(self) -> ShardsConfig:
        if self.max_files == 1:
            return self
        if self.min_records * self.max_files > self.max_records:
            raise ValueError(
                f"min_records ({self.min_records}) times max_files ({self.max_files}) is above "
                f"max_records ({self.max_records}), which the files of a shard share"
            )
        if self.max_bytes * self.max_files > limits.MAX_JOB_BYTES:
            raise ValueError(
                f"max_bytes ({self.max_bytes}) times max_files ({self.max_files}) is above the "
                f"{limits.MAX_JOB_BYTES} bytes of a batch job"
            )
        return self


class VpcConfig(Section):
    """The network of a batch job."""

    subnet_ids: Columns = Field(min_length=1, max_length=16)
    security_group_ids: Columns = Field(min_length=1, max_length=5)


class BatchConfig(Section):
    """How batch jobs are created and watched."""

    role_arn: Annotated[str, AfterValidator(check_role_arn)]
    region: str | None = None
    max_active_jobs: int | None = Field(default=None, ge=1)
    timeout_hours: int = Field(default=24, ge=limits.TIMEOUT_HOURS_MIN, le=limits.TIMEOUT_HOURS_MAX)
    attempts: int = Field(default=2, ge=1, le=10)
    poll_seconds: float | None = Field(default=None, gt=0, le=3600)
    deadline_hours: float | None = Field(default=None, gt=0, le=8760)
    tags: dict[str, str] = Field(default={}, max_length=limits.TAGS_MAX)
    kms_key_id: str | None = None
    bucket_owner: Annotated[str, AfterValidator(check_account)] | None = None
    cost_profile: bool = False
    vpc: VpcConfig | None = None
    lint: Literal["refuse", "ignore"] = "refuse"
