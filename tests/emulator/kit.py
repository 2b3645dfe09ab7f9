"""A client for the emulator's tests: uploads records, creates jobs and reads their output."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bedrock_emulator import LocalBedrock
from tests.models import CLAUDE as CLAUDE
from tests.models import CLAUDE_MODEL as CLAUDE_MODEL

ROLE = "arn:aws:iam::123456789012:role/batch"
_NUMBERS = itertools.count(1)
# boto3 clients by endpoint: to create one takes longer than most tests.
_CLIENTS: dict[str, list[Any]] = {}


def ask(text: str, **changes: Any) -> dict[str, Any]:
    """Return an Anthropic Messages body."""
    return {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 40,
        "messages": [{"role": "user", "content": text}],
        **changes,
    }


def record(number: int) -> dict[str, Any]:
    """Return a record whose id and question hold its number."""
    return {"recordId": f"REC{number:08d}", "modelInput": ask(f"Question number {number}")}


def jsonl(records: list[Any]) -> bytes:
    return "".join(f"{json.dumps(item)}\n" for item in records).encode()


def refusal(call: Callable[..., Any], *values: Any, **params: Any) -> str:
    """Make a call that the service refuses, and return the error code."""
    with pytest.raises(ClientError) as error:
        call(*values, **params)
    return str(error.value.response["Error"]["Code"])


@dataclass
class Kit:
    """One emulator, a bucket in it, and boto3 clients for it."""

    local: LocalBedrock
    bucket: str
    s3: Any
    bedrock: Any
    runtime: Any

    @classmethod
    def open(cls, local: LocalBedrock) -> Kit:
        """Create a bucket with a new name, and clients that do not retry."""
        bucket = f"bucket-{next(_NUMBERS)}"
        if local.endpoint_url not in _CLIENTS:
            no_retries = Config(retries={"total_max_attempts": 1})
            names = ("s3", "bedrock", "bedrock-runtime")
            _CLIENTS[local.endpoint_url] = [local.client(name, config=no_retries) for name in names]
        s3, bedrock, runtime = _CLIENTS[local.endpoint_url]
        s3.create_bucket(Bucket=bucket)
        return cls(local, bucket, s3, bedrock, runtime)

    def put(self, key: str, records: list[Any] | bytes) -> str:
        body = records if isinstance(records, bytes) else jsonl(records)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def request(self, uri: str, name: str | None = None, **changes: Any) -> dict[str, Any]:
        return {
            "jobName": name or f"job-{next(_NUMBERS)}",
            "roleArn": ROLE,
            "modelId": CLAUDE,
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": uri}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{self.bucket}/out/"}},
            **changes,
        }

    def submit(self, records: list[Any] | bytes | int, **changes: Any) -> str:
        """Upload records and create a job with them; return its ARN.

        If `records` is a number, that many records are made.
        """
        if isinstance(records, int):
            records = [record(number) for number in range(records)]
        uri = self.put(f"in/{next(_NUMBERS)}.jsonl", records)
        arn: str = self.bedrock.create_model_invocation_job(**self.request(uri, **changes))[
            "jobArn"
        ]
        return arn

    def job(self, arn: str) -> dict[str, Any]:
        job: dict[str, Any] = self.bedrock.get_model_invocation_job(jobIdentifier=arn)
        return job

    def status(self, arn: str) -> str:
        return str(self.job(arn)["status"])

    def until(self, arn: str, is_reached: Callable[[str], bool], step: float = 30.0) -> str:
        """Advance the clock by `step` seconds at a time until `is_reached(status)`; return it."""
        for _ in range(3000):
            status = self.status(arn)
            if is_reached(status):
                return status
            self.local.advance_clock(step)
        raise AssertionError(f"still {status}")

    def settle(self, arn: str) -> dict[str, Any]:
        """Advance the clock by a week, which settles the job, and return the job."""
        self.local.advance_clock(7 * 86_400)
        return self.job(arn)

    def keys(self, arn: str) -> list[str]:
        """Return the names of a job's output objects, relative to its output folder."""
        prefix = f"out/{arn[-12:]}/"
        objects = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return sorted(item["Key"].removeprefix(prefix) for item in objects)

    def read(self, arn: str, name: str) -> bytes:
        key = f"out/{arn[-12:]}/{name}"
        content: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def lines(self, arn: str) -> list[dict[str, Any]]:
        """Return the decoded lines of all output files of a job."""
        names = [name for name in self.keys(arn) if name.endswith(".jsonl.out")]
        raw = [line for name in names for line in self.read(arn, name).split(b"\n") if line]
        return [json.loads(line) for line in raw]

    def manifest(self, arn: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.read(arn, "manifest.json.out"))
        return value
