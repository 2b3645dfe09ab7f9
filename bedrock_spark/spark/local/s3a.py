"""Settings of S3A, Hadoop's file system for S3: as boto3 is set up here, so that both see the same.

https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/index.html
"""

from __future__ import annotations

import inspect
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from bedrock_spark.aws import credential_process
from bedrock_spark.aws.clients import AwsSettings, region_here, s3_endpoint

_S3A = "org.apache.hadoop.fs.s3a.S3AFileSystem"
_PREFIX = "spark.hadoop.fs.s3a"
PROVIDER = f"{_PREFIX}.aws.credentials.provider"
# If the user sets one of these, the credentials are the user's own concern.
OWN_CREDENTIALS = (PROVIDER, f"{_PREFIX}.access.key")


@dataclass(frozen=True)
class Credentials:
    """How the AWS SDK for Java gets the credentials of boto3.

    java_options: for the SDK 2; environment: for the SDK 1, and only read by it
    """

    settings: dict[str, str]
    java_options: tuple[str, ...]
    environment: dict[str, str]


def s3a_settings(aws: AwsSettings, hadoop: str) -> dict[str, str]:
    """Return the settings that map s3:// to S3A, with the endpoint and the Region of boto3."""
    settings = {"spark.hadoop.fs.s3.impl": _S3A}
    endpoint, region = s3_endpoint(aws), aws.region or region_here()
    if endpoint is not None:
        settings[f"{_PREFIX}.endpoint"] = endpoint
        # boto3 does the same for an endpoint that is not AWS's own.
        settings[f"{_PREFIX}.path.style.access"] = "true"
        if endpoint.startswith("http://"):
            settings[f"{_PREFIX}.connection.ssl.enabled"] = "false"
    # The SDK 1 signs for this Region alone; without it, S3A finds the Region of each bucket.
    if region is not None and (endpoint is not None or not uses_sdk_1(hadoop)):
        settings[f"{_PREFIX}.endpoint.region"] = region
    return settings


def uses_sdk_1(hadoop: str) -> bool:
    """Tell whether S3A uses version 1 of the AWS SDK for Java: before Hadoop 3.4."""
    return [int(part) for part in hadoop.split(".")[:2]] < [3, 4]


def boto3_credentials(hadoop: str, folder: Path) -> Credentials:
    """Write a profile for the SDK that runs credential_process.py; it holds no credentials.

    folder: an existing folder that outlives the session
    """
    # A copy, because this package may be in a zip.
    script = folder / "credential_process.py"
    script.write_text(inspect.getsource(credential_process), encoding="utf-8")
    words = [sys.executable, "-P", str(script)]
    profile, file = os.environ.get("AWS_PROFILE", "default"), folder / "aws-profile"

    file.write_text(f"[{profile}]\ncredential_process = {shlex.join(words)}\n")
    if uses_sdk_1(hadoop):
        provider = "com.amazonaws.auth.profile.ProfileCredentialsProvider"
        return Credentials({PROVIDER: provider}, (), {"AWS_CREDENTIAL_PROFILES_FILE": str(file)})
    provider = "software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider"
    options = (
        f"-Daws.sharedCredentialsFile={file}",
        f"-Daws.configFile={os.devnull}",
        f"-Daws.profile={profile}",
    )
    return Credentials({PROVIDER: provider}, options, {})
