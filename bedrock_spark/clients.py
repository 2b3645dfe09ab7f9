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
_session_lock = threading.Lock()


@dataclass(frozen=True)
class AwsSettings:
    """Where AWS is. Both may be None: then AWS_REGION and AWS_ENDPOINT_URL decide, or a profile."""

    region: str | None = None
    endpoint_url: str | None = None


@lru_cache(maxsize=32)
def _client(service: str, aws: AwsSettings, config: BotoConfig) -> Any:
    # Creating clients from one session is not thread-safe; using them is.
    with _session_lock:
        # boto3 reads AWS_DEFAULT_REGION only; AWS_REGION is what clusters and other SDKs set.
        region = aws.region or os.environ.get("AWS_REGION")
        session = boto3.session.Session(region_name=region)
        try:
            return session.client(service, endpoint_url=aws.endpoint_url, config=config)
        except NoRegionError as exc:
            raise ConfigError(
                "batch.region: is not set, and neither --region, AWS_REGION nor the AWS profile "
                "names one"
            ) from exc


_S3_CONFIG = BotoConfig(
    retries={"mode": "standard", "total_max_attempts": _S3_ATTEMPTS}, max_pool_connections=32
)
_ADVICE_CONFIG = BotoConfig(retries={"mode": "standard", "total_max_attempts": 2})
_CONTROL_CONFIG = BotoConfig(retries={"mode": "standard", "total_max_attempts": 1})


def s3_client(aws: AwsSettings) -> Any:
    """Return the S3 client."""
    return _client("s3", aws, _S3_CONFIG)


@lru_cache(maxsize=8)
def object_client(aws: AwsSettings, connections: int) -> Any:
    """Return the S3 client for objects that rows name, for so many threads."""
    config = BotoConfig(
        retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=connections
    )
    return _client("s3", aws, config)


def bedrock_client(aws: AwsSettings) -> Any:
    """Return the control-plane client: batch jobs and provisioned throughput."""
    return _client("bedrock", aws, _CONTROL_CONFIG)


def quotas_client(aws: AwsSettings) -> Any:
    """Return the client of Service Quotas: a call is tried twice, its answer is not needed."""
    return _client("service-quotas", aws, _ADVICE_CONFIG)


def queue_client(aws: AwsSettings) -> Any:
    """Return the client of SQS, from which events may come."""
    return _client("sqs", aws, _S3_CONFIG)


@lru_cache(maxsize=8)
def runtime_client(aws: AwsSettings, read_timeout_seconds: int, connections: int) -> Any:
    """Return the client for InvokeModel and Converse.

    The read timeout is longer than the model may take: a timed-out call may have been answered and
    paid for.
    """
    config = BotoConfig(
        retries={"mode": "standard", "total_max_attempts": 1},
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
    )
    return _client("bedrock-runtime", aws, config)
