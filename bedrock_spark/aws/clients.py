"""boto3 clients, made once per process and settings.

Each call has one retry layer. botocore repeats the S3 calls of the run folder. tenacity repeats the
Bedrock calls and the reading of objects that rows name (see retry.py), so botocore sends each of
them exactly once. Credentials come from boto3's ordinary chain. A change of the environment makes
new clients, so new credentials are used; of the old ones nothing is kept but a digest.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config as BotoConfig
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import BotoCoreError, NoRegionError
from botocore.utils import ensure_boolean

from bedrock_spark.aws.protocols import (
    BedrockClient,
    QueueClient,
    QuotasClient,
    RuntimeClient,
    S3Client,
    StsClient,
    TopicClient,
)
from bedrock_spark.errors import ConfigError

_S3_ATTEMPTS = 8
_creation_lock = threading.Lock()


@dataclass(frozen=True)
class AwsSettings:
    """The Region and the endpoint of AWS.

    If a value is None, AWS_REGION and AWS_ENDPOINT_URL decide, or the AWS profile.

    driver: what the process that made these settings found in its environment, if they were sent
        to another process, as Spark sends them to executors. It counts there if the environment
        says nothing
    """

    region: str | None = None
    endpoint_url: str | None = None
    driver: DriverSettings | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle them with what this process's environment adds to them."""
        region = self.region or region_here()
        return AwsSettings, (region, self.endpoint_url, self.driver or driver_settings())


@dataclass(frozen=True)
class _Settings:
    """The settings in which our clients differ: a cache key, which a botocore config is not."""

    attempts: int
    connections: int = 10
    read_timeout_seconds: int = 60
    connect_timeout_seconds: int = 60


# The services that executors call.
_OF_EXECUTORS = ("s3", "bedrock-runtime")


@dataclass(frozen=True)
class DriverSettings:
    """What a process found in its environment and its AWS profile. Never credentials.

    profile: the name of the profile, None for the default one
    endpoints: the services with an endpoint of their own, and that endpoint
    """

    profile: str | None = None
    endpoints: tuple[tuple[str, str], ...] = ()


def driver_settings() -> DriverSettings:
    """Return what this process's environment and AWS profile say, for other processes."""
    return _driver_settings(_environment_digest())


@lru_cache(maxsize=8)
def _driver_settings(environment: str) -> DriverSettings:
    try:
        session = botocore.session.Session()
        found = ((service, _own_endpoint(session, service)) for service in _OF_EXECUTORS)
        endpoints = tuple((service, url) for service, url in found if url is not None)
        return DriverSettings(session.get_config_variable("profile"), endpoints)
    except BotoCoreError:  # such as a profile that does not exist: the first call says so
        return DriverSettings()


def _own_endpoint(session: Any, service: str) -> str | None:
    """Return the endpoint of a service that the environment or the profile names.

    As botocore looks it up for a client.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    ignores = session.get_config_variable("ignore_configured_endpoint_urls")
    if ensure_boolean(ignores or False):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=session.full_config,
        scoped_config=session.get_scoped_config(),
        client_name=service,
    )
    url: str | None = provider.provide()
    return url


def _session(aws: AwsSettings) -> Any:
    """Return botocore's session: of the driver's profile, if that exists and nothing else counts.

    A machine with an instance profile has none of the driver's profiles, and goes on without.
    """
    session = botocore.session.Session()
    profile = aws.driver.profile if aws.driver is not None else None
    has_own = any(os.environ.get(name) for name in _CREDENTIAL_VARIABLES)
    if profile is None or has_own or profile not in session.available_profiles:
        return session
    return botocore.session.Session(profile=profile)


# Variables by which a machine chooses its credentials itself.
_CREDENTIAL_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _endpoint(aws: AwsSettings, session: Any, service: str) -> str | None:
    """Return the endpoint of a client; None if boto3 finds it, or there is none."""
    if aws.endpoint_url is not None or aws.driver is None:
        return aws.endpoint_url
    own = _own_endpoint(session, service)
    return None if own is not None else dict(aws.driver.endpoints).get(service)


def _client(service: str, aws: AwsSettings, settings: _Settings) -> Any:
    """Return the client. Threads that call this at the same time share it.

    The cache alone would let each thread make its own client, and making clients is not
    thread-safe.
    """
    with _creation_lock:
        return _make_client(service, aws, settings, _environment_digest())


def _environment_digest() -> str:
    """Return a digest of the AWS_* variables: endpoint, Region, profile, credentials.

    Part of the cache key: a client that was made before one of them changed is stale. The values
    themselves are not in the key.
    """
    variables = sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))
    return hashlib.sha256(repr(variables).encode("utf-8", "surrogateescape")).hexdigest()


@lru_cache(maxsize=32)
def _make_client(service: str, aws: AwsSettings, settings: _Settings, environment: str) -> Any:
    core = _session(aws)
    # boto3 reads AWS_DEFAULT_REGION only; AWS_REGION is the one that clusters and other SDKs set.
    region = aws.region or os.environ.get("AWS_REGION")
    session = boto3.session.Session(region_name=region, botocore_session=core)
    config = BotoConfig(
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        max_pool_connections=settings.connections,
        read_timeout=settings.read_timeout_seconds,
        connect_timeout=settings.connect_timeout_seconds,
    )
    try:
        endpoint_url = _endpoint(aws, core, service)
        return session.client(service, endpoint_url=endpoint_url, config=config)
    except NoRegionError as exc:
        raise ConfigError(
            "batch.region: is not set, and neither --region, AWS_REGION nor the AWS profile names "
            "one"
        ) from exc


_S3 = _Settings(_S3_ATTEMPTS, connections=32)
_ONCE = _Settings(attempts=1)
_TWICE = _Settings(attempts=2)
# A private network may have no way to STS: a run does not wait a minute to find that out.
_QUICK = _Settings(attempts=3, read_timeout_seconds=10, connect_timeout_seconds=5)


def region_here() -> str | None:
    """Return the Region that AWS_REGION or the AWS profile names, or None."""
    try:
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
        region: str | None = session.region_name
    except BotoCoreError:  # such as a profile that does not exist
        return None
    return region


def s3_client(aws: AwsSettings) -> S3Client:
    """Return the S3 client of the run folder."""
    client: S3Client = _client("s3", aws, _S3)
    return client


def s3_endpoint(aws: AwsSettings) -> str | None:
    """Return the endpoint of S3, or None for AWS's own. The environment and profiles count."""
    if aws.endpoint_url is not None:
        return aws.endpoint_url
    session = boto3.session.Session(region_name=aws.region or os.environ.get("AWS_REGION"))
    own = BotoConfig(ignore_configured_endpoint_urls=True)
    with _creation_lock:
        endpoints = [session.client("s3", config=c).meta.endpoint_url for c in (None, own)]
    return str(endpoints[0]) if endpoints[0] != endpoints[1] else None


def object_client(aws: AwsSettings, connections: int) -> S3Client:
    """Return the S3 client for objects that rows name.

    connections: the number of threads that use it at the same time
    """
    client: S3Client = _client("s3", aws, _Settings(attempts=1, connections=connections))
    return client


def bedrock_client(aws: AwsSettings) -> BedrockClient:
    """Return the control-plane client: batch jobs and provisioned throughput."""
    client: BedrockClient = _client("bedrock", aws, _ONCE)
    return client


def model_client(aws: AwsSettings) -> BedrockClient:
    """Return the client that asks about models and profiles. A run works without the answers."""
    client: BedrockClient = _client("bedrock", aws, _QUICK)
    return client


def quotas_client(aws: AwsSettings) -> QuotasClient:
    """Return the Service Quotas client. It tries a call twice: a run works without the answer."""
    client: QuotasClient = _client("service-quotas", aws, _TWICE)
    return client


def sts_client(aws: AwsSettings) -> StsClient:
    """Return the STS client, which names the account. A run works without the answer."""
    client: StsClient = _client("sts", aws, _QUICK)
    return client


def quick_client(service: str, aws: AwsSettings) -> Any:
    """Return a client of any service, for questions that need no answer: it gives up early."""
    return _client(service, aws, _QUICK)


def queue_client(aws: AwsSettings) -> QueueClient:
    """Return the SQS client, which receives the events about batch jobs."""
    client: QueueClient = _client("sqs", aws, _S3)
    return client


def topic_client(aws: AwsSettings) -> TopicClient:
    """Return the SNS client, which tells how a run ended. A run works without it."""
    client: TopicClient = _client("sns", aws, _QUICK)
    return client


def runtime_client(aws: AwsSettings, read_timeout_seconds: int, connections: int) -> RuntimeClient:
    """Return the client for InvokeModel and Converse.

    read_timeout_seconds: longer than the model may take, because a call that timed out may have
        been answered and paid for
    connections: the number of calls in flight
    """
    settings = _Settings(1, connections, read_timeout_seconds)
    client: RuntimeClient = _client("bedrock-runtime", aws, settings)
    return client
