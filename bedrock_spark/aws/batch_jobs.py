"""Bedrock's batch jobs: create, list, stop. One thing of the outside world; no policy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.retry import retry_reading, retry_throttled
from bedrock_spark.clock import Clock
from bedrock_spark.errors import JobStateUnknownError

COMPLETED, PARTIALLY_COMPLETED = "Completed", "PartiallyCompleted"
FAILED, STOPPED, EXPIRED = "Failed", "Stopped", "Expired"
ACTIVE = frozenset({"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"})
SETTLED = frozenset({COMPLETED, PARTIALLY_COMPLETED, FAILED, STOPPED, EXPIRED})
_PAGE = 1000


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
