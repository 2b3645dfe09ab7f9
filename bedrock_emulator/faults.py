"""The fault script: failures that the emulator causes on purpose. It is checked when it is read.

Random choices depend only on the seed and on names (see `state/draws.py`), so the same script and
seed cause the same failures again.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from bedrock_emulator.scripts import Expression, ScriptModel, read_script

Share = float


class Latency(ScriptModel):
    """Real milliseconds before a reply: about log-normal, with this median, at most `max_ms`.

    `sigma` is the standard deviation of the delay's natural logarithm.
    """

    median_ms: float = Field(default=0.0, ge=0)
    sigma: float = Field(default=0.0, ge=0)
    max_ms: float = Field(default=10_000.0, ge=0)


class OperationFaults(ScriptModel):
    """Failures of calls: of one operation, of all others (`*`), or of S3 (`s3:GET`, `s3:PUT`).

    `..._rate` is a share of the calls, from 0 to 1. `..._first` is a number of calls, counted from
    the first one. `drop_before` and `drop_after` hold the numbers of calls, from 1.
    """

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


class Hold(ScriptModel):
    """Calls that wait, before anything is done, until a script without this rule is set.

    operation: a pattern of names, as of the keys of `operations`
    path: a regular expression, searched in the decoded path: `/bucket/key` for S3
    body: one that is searched in the request's body; not for S3, whose bodies are not read
    after: how many calls that fit go on first, counted since the script was set
    """

    operation: str
    path: Expression = ""
    body: Expression = ""
    after: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _can_be_read(self) -> Hold:
        if self.body and self.operation.startswith("s3:"):
            raise ValueError("body is not searched in calls of S3: use path")
        return self

    def fits(self, operation: str, path: str, body: bytes) -> bool:
        """Tell whether the rule is for this call."""
        return (
            fnmatch.fnmatchcase(operation, self.operation)
            and re.search(self.path, path) is not None
            and re.search(self.body, body.decode("utf-8", "replace")) is not None
        )


class Quotas(ScriptModel):
    """Limits that AWS sets per account, model and Region. Service Quotas shows the real ones.

    `active_jobs` is the maximum number of jobs of one model in one Region that are not settled.
    `tokens_per_minute` is the quota of calls on demand, of one model or profile; None for no limit.
    """

    active_jobs: int = Field(default=20, ge=0)
    min_records: int = Field(default=100, ge=0)
    max_records: int = Field(default=50_000, ge=1)
    max_file_bytes: int = Field(default=1024**3, ge=1)
    max_job_bytes: int = Field(default=5 * 1024**3, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)


class QuotaChange(ScriptModel):
    """New values of some quotas, from `after_seconds` emulated seconds after the script was set."""

    after_seconds: float = Field(ge=0)
    active_jobs: int | None = Field(default=None, ge=0)
    min_records: int | None = Field(default=None, ge=0)
    max_records: int | None = Field(default=None, ge=1)
    max_file_bytes: int | None = Field(default=None, ge=1)
    max_job_bytes: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)


class RecordErrors(ScriptModel):
    """An error for a share of the records of batch jobs, or of those in `record_ids` only.

    `jobs` is a pattern of job names. A retryable error is drawn per record and job: a retry in
    another job may succeed, and the runtime operations never return it. A permanent error is drawn
    per body: the body fails in every job, and in the runtime operations if the rule has neither
    `record_ids` nor `jobs`.
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
        return is_retryable(self.code)


def is_retryable(code: int) -> bool:
    """Return whether a record with this error code may succeed in another job."""
    return code in (408, 424, 429) or code >= 500


class OutputFaults(ScriptModel):
    """Defects of a job's output files. The records were processed and are billed.

    `late_seconds` are the emulated seconds after the job's last status until its output is there.
    """

    missing_lines: Share = Field(default=0.0, ge=0, le=1)
    duplicated_lines: Share = Field(default=0.0, ge=0, le=1)
    truncated: bool = False
    wrong_manifest: bool = False
    no_manifest: bool = False
    no_output: bool = False
    errors_in_model_output: bool = False
    unordered: bool = True
    late_seconds: float = Field(default=0.0, ge=0)


Ending = Literal["Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"]


class JobFaults(ScriptModel):
    """A rule that makes jobs fail. The first rule that applies to a new job is used.

    It applies to jobs whose name matches the pattern `name` and whose creation number, from 1, is
    in `nth` (if given): to a `share` of them, and to at most `count` jobs. `end` is the status in
    which the job ends, `stick` keeps it in Scheduled until its timeout, and `slowdown` multiplies
    the time that its records take.
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
        """Return whether the rule can apply to the `number`-th job, named `job_name`."""
        return fnmatch.fnmatchcase(job_name, self.name) and (not self.nth or number in self.nth)


class ProvisionedFaults(ScriptModel):
    """Failures and size of provisioned throughput.

    Creation fails if the name matches the pattern `fail`. `tokens_per_minute_per_unit` replaces
    the setting of that name.
    """

    fail: str | None = None
    failure_message: str = "The provisioned throughput could not be created."
    tokens_per_minute_per_unit: int | None = Field(default=None, ge=1)


class Thinking(ScriptModel):
    """Real seconds that a model takes for an answer, uniform between the two values.

    The answer's tokens are reserved during that time if the throughput is provisioned.
    """

    least_seconds: float = Field(default=0.0, ge=0)
    most_seconds: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _are_in_order(self) -> Thinking:
        if self.least_seconds > self.most_seconds:
            raise ValueError("least_seconds is more than most_seconds")
        return self


class FlexFaults(ScriptModel):
    """The flex tier of InvokeModel and Converse: which models lack it, and how busy it is.

    `unsupported` are patterns of the ids of foundation models. `throttle_first` and
    `unavailable_first` are numbers of calls at the tier, counted from the first one; the rates are
    shares of them. `seconds` are real seconds that an answer takes longer.
    """

    unsupported: tuple[str, ...] = ()
    throttle_first: int = Field(default=0, ge=0)
    throttle_rate: Share = Field(default=0.0, ge=0, le=1)
    unavailable_first: int = Field(default=0, ge=0)
    unavailable_rate: Share = Field(default=0.0, ge=0, le=1)
    seconds: float = Field(default=0.0, ge=0)


class AccessFaults(ScriptModel):
    """Patterns of role ARNs that Bedrock may not assume, of buckets that it cannot reach, and of
    model ids that have no batch inference in this Region."""

    denied_roles: tuple[str, ...] = ()
    denied_buckets: tuple[str, ...] = ()
    models_without_batch: tuple[str, ...] = ()


class Behaviour(ScriptModel):
    """What AWS does if its documentation and users' reports differ, or say nothing.

    used_token: a request whose clientRequestToken was used for another request: it is ignored and
        the first job's ARN comes back, as the service model says, or it is refused
    used_name: a used job name is always refused, or only while its job is active
    null_members: whether Converse lines of batch jobs hold the unused members as null
    profile_only: whether InvokeModel and Converse refuse the bare id of a model that AWS serves
        through inference profiles only; batch jobs take it, because no report says otherwise, and
        so does CountTokens
    """

    used_token: Literal["ignore", "refuse"] = "ignore"
    used_name: Literal["refuse", "refuse_while_active"] = "refuse"
    null_members: bool = True
    profile_only: Literal["accept", "refuse"] = "refuse"

    def refuses(self, earlier: dict[str, Any], request: dict[str, Any]) -> bool:
        """Return whether a request is refused because its token was used for an earlier one."""
        return self.used_token == "refuse" and earlier != request


class ModelFaults(ScriptModel):
    """The life cycle of models, and what the account lacks to use them.

    The days are counted from the time when the script was set, and may be below 0. From
    `legacy_in_days` on, a model is LEGACY; from `ends_in_days` on, it answers nothing. `refusal` is
    a refusal of every call: see `models/usable.py`.
    """

    legacy_in_days: float | None = None
    extended_access_in_days: float | None = None
    ends_in_days: float | None = None
    agreement: Literal["AVAILABLE", "PENDING", "NOT_AVAILABLE", "ERROR"] = "AVAILABLE"
    authorization: Literal["AUTHORIZED", "NOT_AUTHORIZED"] = "AUTHORIZED"
    entitlement: Literal["AVAILABLE", "NOT_AVAILABLE"] = "AVAILABLE"
    region: Literal["AVAILABLE", "NOT_AVAILABLE"] = "AVAILABLE"
    refusal: Literal["on_demand", "legacy", "support_case", "no_batch", "no_access"] | None = None


class GuardrailScript(ScriptModel):
    """A guardrail of the account: its versions, the texts that it blocks, and what it says then.

    blocks: a regular expression, searched in the last message and in the answer
    """

    versions: tuple[str, ...] = ("DRAFT", "1")
    blocks: Expression
    message: str = "Sorry, the model cannot answer this question."


class Faults(ScriptModel):
    """The whole script. An empty one causes no failures.

    custom_models: the base model's id of each custom model that is listed, by its name
    """

    seed: int | None = None
    operations: dict[str, OperationFaults] = Field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    quotas: Quotas = Quotas()
    quota_changes: tuple[QuotaChange, ...] = ()
    list_lag_seconds: float = Field(default=0.0, ge=0)
    records: tuple[RecordErrors, ...] = ()
    jobs: tuple[JobFaults, ...] = ()
    provisioned: ProvisionedFaults = ProvisionedFaults()
    thinking: Thinking = Thinking()
    flex: FlexFaults = FlexFaults()
    access: AccessFaults = AccessFaults()
    behaviour: Behaviour = Behaviour()
    guardrails: dict[str, GuardrailScript] = Field(default_factory=dict)
    models: dict[str, ModelFaults] = Field(default_factory=dict)
    custom_models: dict[str, str] = Field(default_factory=dict)

    def operation(self, name: str) -> OperationFaults | None:
        """Return the faults of an operation: its own, or else those of `*`, or else None."""
        return self.operations.get(name) or self.operations.get("*")

    def model(self, model_id: str) -> ModelFaults:
        """Return what the script says of a foundation model: the first pattern that fits."""
        fits = (rule for name, rule in self.models.items() if fnmatch.fnmatchcase(model_id, name))
        return next(fits, ModelFaults())

    def quotas_at(self, seconds: float) -> Quotas:
        """Return the quotas in force `seconds` emulated seconds after the script was set."""
        values = self.quotas.model_dump()
        for change in sorted(self.quota_changes, key=lambda change: change.after_seconds):
            if change.after_seconds <= seconds:
                values.update(change.model_dump(exclude_none=True, exclude={"after_seconds"}))
        return Quotas.model_validate(values)


def read_faults(source: dict[str, Any] | Path | str | None) -> Faults:
    """Read a fault script, as `read_script` does."""
    return read_script(Faults, source)
