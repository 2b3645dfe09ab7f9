"""Bedrock's batch jobs: create, list, stop. One thing of the outside world; no policy."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark import layout
from bedrock_spark.aws_errors import job_errors
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config
from bedrock_spark.errors import JobStateUnknownError
from bedrock_spark.limits import JOB_NAME_MAX
from bedrock_spark.retry import retry_reading, retry_throttled

COMPLETED, PARTIALLY_COMPLETED = "Completed", "PartiallyCompleted"
FAILED, STOPPED, EXPIRED = "Failed", "Stopped", "Expired"
ACTIVE = frozenset({"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"})
SETTLED = frozenset({COMPLETED, PARTIALLY_COMPLETED, FAILED, STOPPED, EXPIRED})

_INVOCATION_TYPES = {"invoke_model": "InvokeModel", "converse": "Converse"}
_DIGEST_LENGTH = 8
_PAGE = 1000


@dataclass(frozen=True)
class JobPlan:
    """One attempt at one shard: everything about it follows from four values.

    Whoever submits this attempt, on whatever machine, gives the job the same token, name and place:
    the service then makes one job of them. `records` and `target` say how many records its input
    has, where that is not the whole shard, and which of several targets takes it.
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    input_key: str
    output_prefix: str
    records: int | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A batch job as ListModelInvocationJobs shows it. Counts are 0 until processing starts."""

    job_arn: str
    job_name: str
    token: str | None
    status: str
    message: str | None = None
    total: int | None = None
    processed: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    submitted_at: float | None = field(default=None, compare=False)
    ended_at: float | None = field(default=None, compare=False)
    model_arn: str | None = field(default=None, compare=False)

    @property
    def is_settled(self) -> bool:
        """Tell whether the job is over. A status this version does not know is not."""
        return self.status in SETTLED


def plan_job(
    run_id: str,
    shard_id: str,
    sha256: str,
    model_id: str,
    attempt: int,
    *,
    input_key: str | None = None,
    records: int | None = None,
    target: str = "",
) -> JobPlan:
    """Return the token, name and place of an attempt: functions of the first five alone.

    sha256: of the bytes that the job reads, which are the shard's own unless `input_key` is given
    """
    identity = "\n".join((run_id, sha256, model_id, str(attempt)))
    token = hashlib.sha256(identity.encode()).hexdigest()
    return JobPlan(
        shard_id=shard_id,
        attempt=attempt,
        job_name=_job_name(run_id, shard_id, attempt, token),
        token=token,
        input_key=input_key or layout.shard_key(shard_id),
        output_prefix=output_prefix(shard_id, attempt, token),
        records=records,
        target=target,
    )


def output_prefix(shard_id: str, attempt: int, token: str) -> str:
    """Return the folder that the job with this token is given for its output."""
    return layout.attempt_prefix(shard_id, attempt, token[:_DIGEST_LENGTH])


def _job_name(run_id: str, shard_id: str, attempt: int, token: str) -> str:
    """Begin with the run id: a listing of names that contain it finds the run's jobs."""
    name = f"{run_id}-{shard_id}-a{attempt}-{token[:_DIGEST_LENGTH]}"
    if len(name) <= JOB_NAME_MAX:
        return name
    return f"{run_id}-{token}"[:JOB_NAME_MAX]


class BatchJobs:
    """The batch job calls of one account and Region."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def create(self, request: dict[str, Any]) -> str:
        """Create a job and return its ARN. Raises a JobError that says what may be done."""

        def call() -> str:
            name = request["jobName"]
            with job_errors(f"creating batch job {name}", job_name=name):
                reply = self._client.create_model_invocation_job(**request)
            if "jobArn" not in reply:  # 200, but not the service's: a proxy's page
                raise JobStateUnknownError(f"creating batch job {name}: no ARN", job_name=name)
            return str(reply["jobArn"])

        return retry_throttled(self._clock)(call)

    def list(
        self, name_contains: str | None, after: float | None = None, status: str | None = None
    ) -> list[SeenJob]:
        """Return the jobs of the account: all pages.

        name_contains: only those whose name contains this
        after: only those submitted after this time, as the service's own clock has it
        status: only those in this status
        """
        request: dict[str, Any] = {"maxResults": _PAGE}
        if name_contains is not None:
            request["nameContains"] = name_contains
        if after is not None:
            request["submitTimeAfter"] = dt.datetime.fromtimestamp(after, dt.UTC)
        if status is not None:
            request["statusEquals"] = status
        return list(self._pages(request))

    def _pages(self, request: dict[str, Any]) -> Iterator[SeenJob]:
        while True:
            page = self._page(request)
            yield from (_seen(summary) for summary in page.get("invocationJobSummaries", ()))
            token = page.get("nextToken")
            if token is None:
                return
            request = {**request, "nextToken": token}

    def active(self) -> tuple[SeenJob, ...]:
        """Return every active job of the account, whosesoever: a listing per status."""
        return tuple(j for status in sorted(ACTIVE) for j in self.list(None, status=status))

    def _page(self, request: dict[str, Any]) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            whose = request.get("nameContains", "the account")
            with job_errors(f"listing the batch jobs of {whose}"):
                page: dict[str, Any] = self._client.list_model_invocation_jobs(**request)
            return page

        return retry_reading(self._clock)(call)

    def stop(self, job_arn: str) -> None:
        """Ask a job to stop. It settles later; one that is settled already stays as it is."""

        def call() -> None:
            with job_errors(f"stopping {job_arn}", job_arn=job_arn):
                self._client.stop_model_invocation_job(jobIdentifier=job_arn)

        retry_reading(self._clock)(call)


def create_request(
    config: Config,
    run_uri: str,
    plan: JobPlan,
    model_id: str | None = None,
    role_arn: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of CreateModelInvocationJob for one attempt.

    run_uri: below which the job reads and writes; model and role are the config's unless given
    """
    batch = config.batch
    output: dict[str, Any] = {"s3Uri": layout.join_uri(run_uri, plan.output_prefix)}
    if batch.kms_key_id is not None:
        output["s3EncryptionKeyId"] = batch.kms_key_id
    request: dict[str, Any] = {
        "jobName": plan.job_name,
        "clientRequestToken": plan.token,
        "roleArn": role_arn or batch.role_arn,
        "modelId": model_id or config.model.id,
        "modelInvocationType": _INVOCATION_TYPES[config.model.invocation],
        "inputDataConfig": {
            "s3InputDataConfig": {
                "s3InputFormat": "JSONL",
                "s3Uri": layout.join_uri(run_uri, plan.input_key),
            }
        },
        "outputDataConfig": {"s3OutputDataConfig": output},
        "timeoutDurationInHours": batch.timeout_hours,
    }
    if batch.tags:
        request["tags"] = [{"key": k, "value": v} for k, v in sorted(batch.tags.items())]
    if batch.vpc is not None:
        request["vpcConfig"] = {
            "subnetIds": list(batch.vpc.subnet_ids),
            "securityGroupIds": list(batch.vpc.security_group_ids),
        }
    return request


def _seen(summary: dict[str, Any]) -> SeenJob:
    return SeenJob(
        job_arn=summary["jobArn"],
        job_name=summary["jobName"],
        token=summary.get("clientRequestToken"),
        status=summary.get("status", "Submitted"),
        message=summary.get("message"),
        total=summary.get("totalRecordCount"),
        processed=summary.get("processedRecordCount"),
        succeeded=summary.get("successRecordCount"),
        failed=summary.get("errorRecordCount"),
        submitted_at=_seconds(summary.get("submitTime")),
        ended_at=_seconds(summary.get("endTime")),
        model_arn=summary.get("modelId"),
    )


def _seconds(value: dt.datetime | None) -> float | None:
    return None if value is None else value.timestamp()
