"""Bedrock's batch jobs: create, list, stop. One thing of the outside world; no policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bedrock_spark import layout
from bedrock_spark.aws_errors import AWS_FAILURES, job_error
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config
from bedrock_spark.errors import JobStateUnknownError
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
    the service then makes one job of them.
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    input_key: str
    output_prefix: str


@dataclass(frozen=True)
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

    @property
    def is_settled(self) -> bool:
        """Tell whether the job is over. A status this version does not know is not."""
        return self.status in SETTLED


def plan_job(run_id: str, shard_id: str, sha256: str, model_id: str, attempt: int) -> JobPlan:
    """Return the token, name and place of an attempt: functions of its arguments alone."""
    identity = "\n".join((run_id, sha256, model_id, str(attempt)))
    token = hashlib.sha256(identity.encode()).hexdigest()
    digest = token[:_DIGEST_LENGTH]
    return JobPlan(
        shard_id=shard_id,
        attempt=attempt,
        job_name=f"{run_id}-{shard_id}-a{attempt}-{digest}",
        token=token,
        input_key=layout.shard_key(shard_id),
        output_prefix=layout.attempt_prefix(shard_id, attempt, digest),
    )


class BatchJobs:
    """The batch job calls of one account and Region."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def create(self, request: dict[str, Any]) -> str:
        """Create a job and return its ARN. Raises a JobError that says what may be done."""

        def call() -> str:
            name = request["jobName"]
            try:
                reply = self._client.create_model_invocation_job(**request)
            except AWS_FAILURES as exc:
                raise job_error(exc, f"creating batch job {name}", job_name=name) from exc
            if "jobArn" not in reply:  # 200, but not the service's: a proxy's page
                raise JobStateUnknownError(f"creating batch job {name}: no ARN", job_name=name)
            return str(reply["jobArn"])

        return retry_throttled(self._clock)(call)

    def list(self, name_contains: str) -> list[SeenJob]:
        """Return every job whose name contains this, whatever its status: all pages."""
        return list(self._pages(name_contains))

    def _pages(self, name_contains: str) -> Iterator[SeenJob]:
        token: str | None = None
        while True:
            page = self._page(name_contains, token)
            yield from (_seen(summary) for summary in page.get("invocationJobSummaries", ()))
            token = page.get("nextToken")
            if token is None:
                return

    def _page(self, name_contains: str, token: str | None) -> dict[str, Any]:
        request: dict[str, Any] = {"nameContains": name_contains, "maxResults": _PAGE}
        if token is not None:
            request["nextToken"] = token

        def call() -> dict[str, Any]:
            try:
                page: dict[str, Any] = self._client.list_model_invocation_jobs(**request)
            except AWS_FAILURES as exc:
                raise job_error(exc, f"listing the batch jobs of {name_contains}") from exc
            return page

        return retry_reading(self._clock)(call)

    def stop(self, job_arn: str) -> None:
        """Ask a job to stop. It settles later; one that is settled already stays as it is."""

        def call() -> None:
            try:
                self._client.stop_model_invocation_job(jobIdentifier=job_arn)
            except AWS_FAILURES as exc:
                raise job_error(exc, f"stopping {job_arn}", job_arn=job_arn) from exc

        retry_reading(self._clock)(call)


def create_request(config: Config, run_uri: str, plan: JobPlan) -> dict[str, Any]:
    """Return the arguments of CreateModelInvocationJob for one attempt."""
    batch = config.batch
    output: dict[str, Any] = {"s3Uri": layout.join_uri(run_uri, plan.output_prefix)}
    if batch.kms_key_id is not None:
        output["s3EncryptionKeyId"] = batch.kms_key_id
    request: dict[str, Any] = {
        "jobName": plan.job_name,
        "clientRequestToken": plan.token,
        "roleArn": batch.role_arn,
        "modelId": config.model.id,
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
    )
