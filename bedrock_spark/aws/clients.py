"""boto3 clients, made once per process and settings.

One retry layer per call: the run folder's S3 is left to botocore's own retries; the Bedrock calls,
and the reading of objects that rows name, are repeated by tenacity (see retry.py), so botocore
makes each of them exactly once. Credentials come from boto3's
ordinary chain and are never looked at here.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import NoRegionError

from bedrock_spark.errors import ConfigError

_S3_ATTEMPTS = 8
_making = threading.Lock()


_PLACES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE")


@dataclass(frozen=True)
class AwsSettings:
    """Where AWS is. Both may be None: then AWS_REGION and AWS_ENDPOINT_URL decide, or a profile."""

    region: str | None = None
    endpoint_url: str | None = None


@dataclass(frozen=True)
class _Settings:
    """What clients differ in, as a value: a botocore config is equal to none but itself."""

    attempts: int
    connections: int = 10
    read_timeout_seconds: int = 60


def _client(service: str, aws: AwsSettings, settings: _Settings) -> Any:
    """Return the client. Threads that ask for one at the same time share it.

    A cache alone would let each of them make its own; and making clients is not thread-safe.
    """
    with _making:
        return _made(service, aws, settings, _told_by_environment())


def _told_by_environment() -> tuple[tuple[str, str], ...]:
    """Return what else says where a client goes: one that was made before it changed is stale."""
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_PLACES)))


@lru_cache(maxsize=32)
def _made(
    service: str, aws: AwsSettings, settings: _Settings, environment: tuple[tuple[str, str], ...]
) -> Any:
    # boto3 reads AWS_DEFAULT_REGION only; AWS_REGION is what clusters and other SDKs set.
    session = boto3.session.Session(region_name=aws.region or os.environ.get("AWS_REGION"))
    config = BotoConfig(
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        max_pool_connections=settings.connections,
        read_timeout=settings.read_timeout_seconds,
    )
    try:
        return session.client(service, endpoint_url=aws.endpoint_url, config=config)
    except NoRegionError as exc:
        raise ConfigError(
            "batch.region: is not set, and neither --region, AWS_REGION nor the AWS profile names "
            "one"
        ) from exc


_S3 = _Settings(_S3_ATTEMPTS, connections=32)
_ONCE = _Settings(attempts=1)
_ADVICE = _Settings(attempts=2)


def s3_client(aws: AwsSettings) -> Any:
    """Return the S3 client."""
    return _client("s3", aws, _S3)


def object_client(aws: AwsSettings, connections: int) -> Any:
    """Return the S3 client for objects that rows name, for so many threads."""
    return _client("s3", aws, _Settings(attempts=1, connections=connections))


def bedrock_client(aws: AwsSettings) -> Any:
    """Return the control-plane client: batch jobs and provisioned throughput."""
    return _client("bedrock", aws, _ONCE)


def quotas_client(aws: AwsSettings) -> Any:
    """Return the client of Service Quotas: a call is tried twice, its answer is not needed."""
    return _client("service-quotas", aws, _ADVICE)


def queue_client(aws: AwsSettings) -> Any:
    """Return the client of SQS, from which events may come."""
    return _client("sqs", aws, _S3)


def runtime_client(aws: AwsSettings, read_timeout_seconds: int, connections: int) -> Any:
    """Return the client for InvokeModel and Converse.

    The read timeout is longer than the model may take: a timed-out call may have been answered and
    paid for.
    """
    settings = _Settings(1, connections, read_timeout_seconds)
    return _client("bedrock-runtime", aws, settings)
