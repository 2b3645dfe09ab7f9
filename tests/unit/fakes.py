"""Fakes of the clock, of AWS's replies and of the batch job calls, and a valid config."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.config import Config, parse_config
from bedrock_spark.run_folder.report_file import VERSION
from bedrock_spark.run_folder.report_shape import ReportJson
from tests.models import CLAUDE as CLAUDE
from tests.models import CLAUDE_MODEL as CLAUDE_MODEL

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/BedrockBatchInference"
PROVISIONED = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abcdefghijkl"
DATA = Path(__file__).parents[1] / "data"


def report_json(**values: Any) -> dict[str, Any]:
    """Return the content of a report.json that is empty but for these values."""
    empty: dict[str, Any] = {"str": "", "int": 0, "list": [], "dict": {}}
    found = {
        field.name: None if "None" in str(field.type) else empty[str(field.type).split("[")[0]]
        for field in fields(ReportJson)
    }
    assert values.keys() <= found.keys()
    return {**found, "version": VERSION, **values}


class FakeClock:
    """A clock whose time passes only by `sleep`. `waits` are the sleeps, in order."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.waits.append(seconds)
            self.time += seconds


def config_values(run_uri: str = "s3://bucket/runs/one", **sections: Any) -> dict[str, Any]:
    """Return valid config values. A section given here is merged over the defaults."""
    values: dict[str, Any] = {
        "run_uri": run_uri,
        "source": {"key": ["id"]},
        "model": {"id": CLAUDE},
        "request": {"prompt": "Classify: {{ body }}", "max_tokens": 40},
        "shards": {"max_records": 100, "min_records": 10},
        "batch": {"role_arn": ROLE, "region": "us-east-1", "poll_seconds": 60},
    }
    for name, section in sections.items():
        default = values.get(name)
        is_merged = isinstance(default, dict) and isinstance(section, dict) and name != "request"
        values[name] = {**default, **section} if is_merged else section  # type: ignore[dict-item]
    return values


def make_config(run_uri: str = "s3://bucket/runs/one", **sections: Any) -> Config:
    return parse_config(config_values(run_uri, **sections))


class _Body(io.BytesIO):
    """The raw body from which botocore reads a reply."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]] | Exception


class CannedHttp:
    """Answers the requests of a boto3 client with these replies, in order. `sent`: the requests."""

    def __init__(self, client: Any, *replies: Reply) -> None:
        self.sent: list[AWSPreparedRequest] = []
        self._replies = list(replies)
        self._events = client.meta.events
        self._events.register_first("before-send", self._answer)

    def close(self) -> None:
        """Restore the client, and check that it has sent a request for every reply."""
        self._events.unregister("before-send", self._answer)
        assert self._replies == [], "replies without a request"

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        self.sent.append(request)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        status, body, headers = reply if len(reply) == 3 else (*reply, {})
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        defaults = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        return AWSResponse(request.url, status, HeadersDict({**defaults, **headers}), _Body(data))


def aws_failure(
    code: str, status: int, message: str = "no", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Return the error reply of a Bedrock call."""
    sent_headers = {k.replace("_", "-"): v for k, v in headers.items()}
    return status, {"message": message}, {"x-amzn-ErrorType": code, **sent_headers}


class FakeBatchJobs:
    """The batch job calls of one account in memory, with the methods of `BatchJobs`.

    slots: the most active jobs
    remembers_tokens: a second create with the same name and token returns the first one's ARN
    region: of the jobs' ARNs
    hidden: names of jobs that no listing shows
    forgotten: names of jobs that are not found by their ARN
    get_error, stop_error: is raised by `get` and `stop`, if set
    before_create, after_create: called with each request, before and after the job exists; they may
        raise, as if the call failed or its reply was lost
    speed: how many times as fast as the real time the clock of the service runs
    calls: every call, in order; looks: the number of calls of `active`
    """

    def __init__(
        self, *, slots: int = 1000, remembers_tokens: bool = False, region: str = "us-east-1"
    ) -> None:
        self.region = region
        self.forgotten: set[str] = set()
        self.get_error: Exception | None = None
        self.stop_error: Exception | None = None
        self.remembers_tokens = remembers_tokens
        self.jobs: dict[str, SeenJob] = {}
        self.requests: list[dict[str, Any]] = []
        self.slots = slots
        self.speed = 1.0
        self.hidden: set[str] = set()
        self.before_create: Callable[[dict[str, Any]], None] = lambda request: None
        self.after_create: Callable[[dict[str, Any]], None] = lambda request: None
        self.calls: list[str] = []
        self.looks = 0
        self.time = 1_800_000_000.0

    def create(self, request: dict[str, Any]) -> str:
        from bedrock_spark.errors import JobNameInUseError, NoFreeSlotError

        self.calls.append(f"create {request['jobName']}")
        self.requests.append(request)
        self.before_create(request)
        name, token = request["jobName"], request["clientRequestToken"]
        existing = self.jobs.get(name)
        if existing is not None and existing.token == token and self.remembers_tokens:
            return existing.job_arn
        if existing is not None:
            raise JobNameInUseError(f"{name}: currently in use")
        if sum(not job.is_settled for job in self.jobs.values()) >= self.slots:
            raise NoFreeSlotError("no free slot")
        arn = f"arn:aws:bedrock:{self.region}:{ACCOUNT}:model-invocation-job/{len(self.jobs):012d}"
        self.jobs[name] = SeenJob(
            arn,
            name,
            token,
            "Submitted",
            None,
            0,
            0,
            0,
            0,
            submitted_at=self.time,
            model_arn="arn:aws:bedrock:us-east-1::foundation-model/"
            + str(request.get("modelId", CLAUDE)),
        )
        self.time += 1.0
        self.after_create(request)
        return arn

    def active(self) -> tuple[SeenJob, ...]:
        """Return the account's active jobs; `looks` counts the calls."""
        self.looks += 1
        return tuple(job for job in self.jobs.values() if not job.is_settled)

    def list(
        self, name_contains: str | None, after: float | None = None, status: str | None = None
    ) -> list[SeenJob]:
        self.calls.append(f"list {name_contains}")
        return [
            job
            for job in self.jobs.values()
            if (name_contains or "") in job.job_name
            and job.job_name not in self.hidden
            and (after is None or (job.submitted_at or 0.0) > after)
            and status in (None, job.status)
        ]

    def get(self, job_arn: str) -> SeenJob | None:
        self.calls.append(f"get {job_arn}")
        if self.get_error is not None:
            raise self.get_error
        for name, job in self.jobs.items():
            if job.job_arn == job_arn and name not in self.forgotten:
                return job
        return None

    def stop(self, job_arn: str) -> None:
        self.calls.append(f"stop {job_arn}")
        if self.stop_error is not None:
            raise self.stop_error
        for name, job in self.jobs.items():
            if job.job_arn == job_arn and not job.is_settled:
                self.move(name, "Stopping")

    def move(self, name: str, status: str, **counts: Any) -> None:
        """Change the status of a job, and its counts. A completed job has answers."""
        from msgspec.structs import replace

        if status == "Completed":
            counts.setdefault("succeeded", counts.get("processed", 1))
        self.jobs[name] = replace(self.jobs[name], status=status, **counts)

    def move_all(self, status: str, **counts: Any) -> None:
        for name, job in self.jobs.items():
            if not job.is_settled:
                self.move(name, status, **counts)


def summary(name: str, status: str = "Submitted", **more: Any) -> Mapping[str, Any]:
    """Return a batch job as it is in a page of ListModelInvocationJobs."""
    import datetime as dt

    return {
        "jobArn": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:model-invocation-job/abcdefghijkl",
        "jobName": name,
        "modelId": f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}",
        "roleArn": ROLE,
        "status": status,
        "submitTime": dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
        **more,
    }
