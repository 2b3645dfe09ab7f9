"""The trouble an emulator makes on purpose: one script, checked when it is read.

Shares are drawn by seed and name (see `draws`), so a script and a seed replay the same failures.
"""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Share = float


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(_Part):
    """Real milliseconds before a reply: log-normal around the median, never above `max_ms`."""

    median_ms: float = Field(default=0.0, ge=0)
    sigma: float = Field(default=0.0, ge=0)
    max_ms: float = Field(default=10_000.0, ge=0)


class OperationFaults(_Part):
    """What happens to calls of one operation, or of all (`*`), or of S3 (`s3:GET`, `s3:PUT`)."""

    throttle_rate: Share = Field(default=0.0, ge=0, le=1)
    throttle_first: int = Field(default=0, ge=0)
    error_rate: Share = Field(default=0.0, ge=0, le=1)
    error_first: int = Field(default=0, ge=0)
    error: str = "InternalServerException"
    drop_before_rate: Share = Field(default=0.0, ge=0, le=1)
    drop_before: tuple[PositiveInt, ...] = ()
    drop_after_rate: Share = Field(default=0.0, ge=0, le=1)
    drop_after: tuple[PositiveInt, ...] = ()
    stream_error_rate: Share = Field(default=0.0, ge=0, le=1)
    stream_error: str = "ModelStreamErrorException"
    stream_drop_rate: Share = Field(default=0.0, ge=0, le=1)
    latency: Latency = Latency()


class Quotas(_Part):
    """Limits that AWS sets per account, model and Region; read the real ones from Service Quotas.

    `active_jobs` counts jobs of one model that are not settled.
    """

    active_jobs: int = Field(default=20, ge=0)
    min_records: int = Field(default=100, ge=0)
    max_records: int = Field(default=50_000, ge=1)
    max_file_bytes: int = Field(default=1024**3, ge=1)
    max_job_bytes: int = Field(default=5 * 1024**3, ge=1)


class QuotaChange(_Part):
    """Quotas that replace the named ones so many emulated seconds after the script was set."""

    after_seconds: float = Field(ge=0)
    active_jobs: int | None = Field(default=None, ge=0)
    min_records: int | None = Field(default=None, ge=0)
    max_records: int | None = Field(default=None, ge=1)
    max_file_bytes: int | None = Field(default=None, ge=1)
    max_job_bytes: int | None = Field(default=None, ge=1)


class RecordErrors(_Part):
    """A share of records (or those named) that end in `error` in a batch job.

    A retryable error is drawn per record and job: another try may succeed, and the runtime
    operations never show it. One that is not retryable is drawn per body: it fails everywhere.
    """

    share: Share = Field(default=1.0, ge=0, le=1)
    code: int = Field(default=500, ge=400, le=599)
    retryable: bool | None = None
    message: str | None = None
    record_ids: tuple[str, ...] = ()
    jobs: str = "*"

    @property
    def is_retryable(self) -> bool:
        if self.retryable is not None:
            return self.retryable
        return self.code in (408, 424, 429) or self.code >= 500


class OutputFaults(_Part):
    """What is wrong with the files of a job whose records were processed, and billed."""

    missing_lines: Share = Field(default=0.0, ge=0, le=1)
    duplicated_lines: Share = Field(default=0.0, ge=0, le=1)
    truncated: bool = False
    wrong_manifest: bool = False
    no_manifest: bool = False
    no_output: bool = False
    errors_in_model_output: bool = False
    unordered: bool = True


Ending = Literal["Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"]


class JobFaults(_Part):
    """Which jobs (by name pattern, by number of creation, by share, at most `count`) go wrong.

    `end` is the status the job is made to end in; `stick` keeps it in Scheduled until its timeout;
    `slowdown` multiplies the time that its records take.
    """

    name: str = "*"
    nth: tuple[PositiveInt, ...] = ()
    share: Share = Field(default=1.0, ge=0, le=1)
    count: PositiveInt | None = None
    end: Ending | None = None
    stick: Literal["Scheduled"] | None = None
    slowdown: float = Field(default=1.0, ge=0)
    message: str | None = None
    processed_share: Share = Field(default=0.5, ge=0, le=1)
    unprocessed: Literal["absent", "expired"] = "absent"
    all_records: RecordErrors | None = None
    output: OutputFaults = OutputFaults()

    def fits(self, job_name: str, number: int) -> bool:
        """Say whether the rule may apply to the `number`-th job, of that name."""
        return fnmatch.fnmatchcase(job_name, self.name) and (not self.nth or number in self.nth)


class ProvisionedFaults(_Part):
    """Trouble with provisioned throughput: names that fail to provision, units per minute."""

    fail: str | None = None
    failure_message: str = "The provisioned throughput could not be created."
    tokens_per_minute_per_unit: int | None = Field(default=None, ge=1)


class Thinking(_Part):
    """Real seconds that a model takes for an answer, drawn evenly; its tokens are reserved then."""

    least_seconds: float = Field(default=0.0, ge=0)
    most_seconds: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _are_in_order(self) -> Thinking:
        if self.least_seconds > self.most_seconds:
            raise ValueError("least_seconds is more than most_seconds")
        return self


class AccessFaults(_Part):
    """Patterns of role ARNs Bedrock may not assume, of buckets it cannot reach, and of model ids
    that have no batch inference in this Region."""

    denied_roles: tuple[str, ...] = ()
    denied_buckets: tuple[str, ...] = ()
    models_without_batch: tuple[str, ...] = ()


class Faults(_Part):
    """The whole script. An empty one makes no trouble."""

    seed: int | None = None
    operations: dict[str, OperationFaults] = Field(default_factory=dict)
    quotas: Quotas = Quotas()
    quota_changes: tuple[QuotaChange, ...] = ()
    list_lag_seconds: float = Field(default=0.0, ge=0)
    records: tuple[RecordErrors, ...] = ()
    jobs: tuple[JobFaults, ...] = ()
    provisioned: ProvisionedFaults = ProvisionedFaults()
    thinking: Thinking = Thinking()
    access: AccessFaults = AccessFaults()

    def operation(self, name: str) -> OperationFaults | None:
        """Return what the script says of an operation: by its own name first, then of all."""
        return self.operations.get(name) or self.operations.get("*")

    def quotas_at(self, seconds: float) -> Quotas:
        """Return the quotas so many emulated seconds after the script was set."""
        values = self.quotas.model_dump()
        for change in sorted(self.quota_changes, key=lambda change: change.after_seconds):
            if change.after_seconds <= seconds:
                values.update(change.model_dump(exclude_none=True, exclude={"after_seconds"}))
        return Quotas.model_validate(values)


def read_faults(source: dict[str, Any] | Path | str | None) -> Faults:
    """Read a script from a dict or a YAML or JSON file; pydantic's error names what is wrong."""
    if source is None:
        return Faults()
    if isinstance(source, dict):
        # By JSON, so that a dict means here exactly what it means in a file or a request.
        return Faults.model_validate_json(json.dumps(source))
    return Faults.model_validate(yaml.safe_load(Path(source).read_text("utf-8")) or {})
