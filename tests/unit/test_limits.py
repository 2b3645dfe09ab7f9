"""The limits of AWS, compared with botocore's service models."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest

from bedrock_spark import limits


@pytest.fixture(scope="module")
def create_job() -> Any:
    model = botocore.session.get_session().get_service_model("bedrock")
    return model.operation_model("CreateModelInvocationJob").input_shape.members


def test_patterns_equal_those_of_the_service_model(create_job: Any) -> None:
    """If AWS changes a pattern, this test fails."""
    uri = create_job["inputDataConfig"].members["s3InputDataConfig"].members["s3Uri"]
    owner = create_job["inputDataConfig"].members["s3InputDataConfig"].members["s3BucketOwner"]
    for ours, shape in (
        (limits.JOB_NAME, create_job["jobName"]),
        (limits.CLIENT_REQUEST_TOKEN, create_job["clientRequestToken"]),
        (limits.S3_URI, uri),
        (limits.ROLE_ARN, create_job["roleArn"]),
        (limits.ACCOUNT_ID, owner),
    ):
        theirs = shape.metadata["pattern"]
        assert re.sub(r"\\([+\-.])", r"\1", ours.pattern) == re.sub(r"\\([+\-.])", r"\1", theirs)
    assert f"({limits.MODEL_ID.pattern})" in create_job["modelId"].metadata["pattern"]
    assert uri.metadata["max"] == limits.S3_URI_MAX
    assert create_job["jobName"].metadata["max"] == limits.JOB_NAME_MAX


def test_bounds_equal_those_of_the_service_model(create_job: Any) -> None:
    """The hours of a timeout, the number of tags and the size of a body."""
    hours = create_job["timeoutDurationInHours"].metadata
    assert (hours["min"], hours["max"]) == (limits.TIMEOUT_HOURS_MIN, limits.TIMEOUT_HOURS_MAX)
    assert create_job["tags"].metadata["max"] == limits.TAGS_MAX
    runtime = botocore.session.get_session().get_service_model("bedrock-runtime")
    body = runtime.operation_model("InvokeModel").input_shape.members["body"]
    assert body.metadata["max"] == limits.MAX_BODY_BYTES
