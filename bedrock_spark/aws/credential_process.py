"""Print the credentials that boto3 finds, for the AWS SDK for Java in Spark.

The SDK calls this as the `credential_process` of a profile, and again before the credentials expire
(https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html). So S3A has what
boto3 has: environment, profiles, SSO, assumed roles, containers, instances. Nothing is written to a
file or into Spark's settings. It runs as a script by its path, and imports nothing of this package,
because it must start quickly.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def credentials_json(session: Any) -> str | None:
    """Return the credentials of a boto3 session as the SDK wants them, or None if it has none."""
    credentials = session.get_credentials()
    if credentials is None:
        return None
    frozen = credentials.get_frozen_credentials()
    values = {
        "Version": 1,
        "AccessKeyId": frozen.access_key,
        "SecretAccessKey": frozen.secret_key,
    }
    if frozen.token:
        values["SessionToken"] = frozen.token
    # botocore's credentials that can expire know when; it has no public name.
    expires_at = getattr(credentials, "_expiry_time", None)
    if expires_at is not None:
        values["Expiration"] = expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(values)


def main() -> int:
    """Print the credentials. Return 1 if there are none, with the reason on stderr."""
    try:
        text = credentials_json(boto3.session.Session())
    except (BotoCoreError, ClientError) as exc:
        text = None
        sys.stderr.write(f"{exc}\n")
    if text is None:
        sys.stderr.write("boto3 finds no AWS credentials here\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
