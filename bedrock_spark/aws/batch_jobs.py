"""The calls about batch jobs: create, list, describe, stop. Others decide what to do with a job."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from sys import intern
from typing import Any

import msgspec

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.profiles import refusal_advice
from bedrock_spark.aws.protocols import BedrockClient, Reply
from bedrock_spark.aws.retry import retry_reading, retry_throttled
from bedrock_spark.clock import Clock
from bedrock_spark.errors import JobRejectedError, JobStateUnknownError

COMPLETED, PARTIALLY_COMPLETED = "Completed", "PartiallyCompleted"
FAILED, STOPPED, EXPIRED = "Failed", "Stopped", "Expired"
ACTIVE = frozenset({"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"})
SETTLED = frozenset({COMPLETED, PARTIALLY_COMPLETED, FAILED, STOPPED, EXPIRED})
# The largest maxResults of ListModelInvocationJobs, from botocore's service model of bedrock.
_PAGE_SIZE = 1000
# A header of the local Bedrock (docs/emulator.md), in lower case, as botocore gives it.
_SPEED_HEADER = "x-bedrock-emulator-speed"
_MAX_SPEED = 1e6


class SeenJob(
    msgspec.Struct,
    frozen=True,
    eq=False,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """A batch job as ListModelInvocationJobs shows it. Counts are 0 until processing starts.

    Two are equal if they have equal members, but for times and the model: not each call tells them.
    """

    job_arn: str
    job_name: str
    token: str | None
    status: str
    message: str | None = None
    total: int | None = None
    processed: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    submitted_at: float | None = None
    ended_at: float | None = None
    model_arn: str | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SeenJob)
            and self.status == other.status
            and self.job_arn == other.job_arn
            and self.job_name == other.job_name
            and self.token == other.token
            and self.message == other.message
            and self.total == other.total
            and self.processed == other.processed
            and self.succeeded == other.succeeded
            and self.failed == other.failed
        )

    def __hash__(self) -> int:
        return hash((self.job_arn, self.job_name, self.status, self.processed))

    @property
    def job_id(self) -> str:
        """Return the last part of the ARN. The job writes its output into a folder of this name."""
        return self.job_arn.rsplit("/", 1)[-1]

    @property
    def is_settled(self) -> bool:
        """Tell whether the job is over. An unknown status counts as active."""
        return self.status in SETTLED


class BatchJobs:
    """The batch job calls of one account and Region.

    speed: how many times as fast as the real time the service's clock runs, by its last listing. It
        is 1, except for a local Bedrock, whose replies have a header that AWS's do not have
    """

    def __init__(self, client: BedrockClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.speed = 1.0

    def create(self, request: dict[str, Any]) -> str:
        """Create a job and return its ARN. Raises the JobError that says what the caller may do."""

        def call() -> str:
            name = request["jobName"]

            def advice_on(message: str) -> str | None:
                return refusal_advice(message, self._client, str(request["modelId"]))

            action = f"creating batch job {name}"
            with job_errors(action, job_name=name, advice_on=advice_on):
                reply = self._client.create_model_invocation_job(**request)
            if "jobArn" not in reply:  # status 200, but from a proxy and not from the service
                raise JobStateUnknownError(f"creating batch job {name}: no ARN", job_name=name)
            return str(reply["jobArn"])

        return retry_throttled(self._clock)(call)

    def list(
        self, name_contains: str | None, after: float | None = None, status: str | None = None
    ) -> list[SeenJob]:
        """Return the jobs of the account, from all pages.

        name_contains: only jobs whose name contains this text
        after: only jobs submitted after this time, in seconds since the epoch by the service's
            clock
        status: only jobs in this status
        """
        request: dict[str, Any] = {"maxResults": _PAGE_SIZE}
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
            self.speed = _speed_of(page)
            yield from (_seen_job(summary) for summary in page.get("invocationJobSummaries", ()))
            token = page.get("nextToken")
            if token is None:
                return
            request = {**request, "nextToken": token}

    def get(self, job_arn: str) -> SeenJob | None:
        """Return the job with this ARN, or None if the service does not know it."""

        def call() -> Reply | None:
            try:
                with job_errors(f"describing {job_arn}", advise=False, job_arn=job_arn):
                    reply = self._client.get_model_invocation_job(jobIdentifier=job_arn)
                if "jobArn" not in reply:  # from a proxy and not from the service
                    raise JobStateUnknownError(f"describing {job_arn}: no ARN", job_arn=job_arn)
            except JobRejectedError as exc:
                if exc.error_type == "ResourceNotFoundException":
                    return None
                raise
            else:
                return reply

        reply = retry_reading(self._clock)(call)
        return None if reply is None else _seen_job({"jobName": "", **reply})

    def active(self) -> tuple[SeenJob, ...]:
        """Return every active job of the account, not only the run's: one listing per status."""
        return tuple(j for status in sorted(ACTIVE) for j in self.list(None, status=status))

    def _page(self, request: dict[str, Any]) -> Reply:
        def call() -> Reply:
            owner = request.get("nameContains", "the account")
            with job_errors(f"listing the batch jobs of {owner}"):
                return self._client.list_model_invocation_jobs(**request)

        return retry_reading(self._clock)(call)

    def stop(self, job_arn: str) -> None:
        """Ask a job to stop. It settles later; a job that has settled already does not change."""

        def call() -> None:
            with job_errors(f"stopping {job_arn}", job_arn=job_arn):
                self._client.stop_model_invocation_job(jobIdentifier=job_arn)

        retry_reading(self._clock)(call)


def _seen_job(summary: dict[str, Any]) -> SeenJob:
    model = summary.get("modelId")
    return SeenJob(
        job_arn=summary["jobArn"],
        job_name=summary["jobName"],
        token=summary.get("clientRequestToken"),
        status=intern(summary.get("status", "Submitted")),
        message=summary.get("message"),
        total=summary.get("totalRecordCount"),
        processed=summary.get("processedRecordCount"),
        succeeded=summary.get("successRecordCount"),
        failed=summary.get("errorRecordCount"),
        submitted_at=_seconds(summary.get("submitTime")),
        ended_at=_seconds(summary.get("endTime")),
        model_arn=None if model is None else intern(model),
    )


def _speed_of(reply: Reply) -> float:
    headers = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        speed = float(headers.get(_SPEED_HEADER, 1))
    except ValueError:
        return 1.0
    return speed if 1 < speed < _MAX_SPEED else 1.0


def _seconds(value: dt.datetime | None) -> float | None:
    return None if value is None else value.timestamp()
