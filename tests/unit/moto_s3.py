"""S3 in this process, for tests without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws

from bedrock_spark.aws import clients


@contextmanager
def s3_in_process(bucket: str = "bucket") -> Iterator[Any]:
    """Provide a client of an S3 with an empty bucket; the pipeline's own client reaches it too."""
    clients._make_client.cache_clear()
    with mock_aws():
        client = boto3.client("s3", "us-east-1")
        client.create_bucket(Bucket=bucket)
        yield client
    clients._make_client.cache_clear()
