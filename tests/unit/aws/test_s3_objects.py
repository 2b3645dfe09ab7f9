"""Objects that rows name: their bytes, or an error of the row or of the task."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    UnsupportedS3ArnError,
)

from bedrock_spark.aws.clients import AwsSettings, object_client
from bedrock_spark.aws.retry import FETCH_ATTEMPTS
from bedrock_spark.aws.s3_objects import MAX_OBJECT_BYTES, ObjectReader
from bedrock_spark.errors import StorageError, StorageUnavailableError
from bedrock_spark.templates.json_values import Unrenderable
from tests.unit.fakes import CannedHttp, FakeClock

AWS = AwsSettings("us-east-1")
MARKED = "s3://marker-4711/marker-4711"
URI = "s3://bucket/a folder/über?x=1&y=%41.png"
Canned = Callable[..., CannedHttp]


def s3_failure(code: str, status: int) -> tuple[int, Any, dict[str, str]]:
    body = f"<Error><Code>{code}</Code><Message>about a secret key</Message></Error>"
    return status, body.encode(), {"Content-Type": "application/xml"}


@pytest.fixture
def reader(clock: FakeClock) -> ObjectReader:
    return ObjectReader(AWS, 4, clock)


@pytest.fixture
def s3() -> Any:
    return object_client(AWS, 4)


def test_an_object_is_read_whole(canned: Canned, reader: ObjectReader, s3: Any) -> None:
    """The key is everything after the bucket, unchanged."""
    sent = canned(s3, (200, b"\x89PNG"))
    assert reader.read(URI) == b"\x89PNG"
    (request,) = sent.sent
    assert request.method == "GET"
    assert request.url.endswith("/a%20folder/%C3%BCber%3Fx%3D1%26y%3D%2541.png")


def test_the_size_of_an_object_is_read_without_its_bytes(
    canned: Canned, reader: ObjectReader, s3: Any
) -> None:
    """A HEAD request."""
    sent = canned(s3, (200, b"", {"Content-Length": "123"}))
    assert reader.size(URI) == 123
    assert sent.sent[0].method == "HEAD"


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("NoSuchKey", 404, "names an S3 object that is not there (NoSuchKey)"),
        ("NoSuchBucket", 404, "names an S3 bucket that is not there (NoSuchBucket)"),
        ("AccessDenied", 403, "names an S3 object that is not there or may not be read"),
        ("InvalidObjectState", 403, "names an S3 object that is archived (InvalidObjectState)"),
        ("KeyTooLongError", 400, "names no S3 object (KeyTooLongError)"),
    ],
)
def test_an_object_that_cannot_be_read_is_its_rows_fault(
    canned: Canned, reader: ObjectReader, clock: FakeClock, s3: Any,
    code: str, status: int, reason: str,
) -> None:  # fmt: skip
    """Without a retry, and with a reason that does not name the object."""
    sent = canned(s3, s3_failure(code, status))
    with pytest.raises(Unrenderable) as caught:
        reader.read(URI)
    assert str(caught.value).startswith(reason)
    assert "secret" not in str(caught.value)
    assert (len(sent.sent), clock.waits) == (1, [])


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("s3://Bad Bucket!/k", "is not the s3:// URI"), ("s3://b/" + "k" * 2000, "is not the s3:/")],
)
def test_a_name_that_no_bucket_can_have_is_its_rows_fault(
    reader: ObjectReader, uri: str, reason: str, canned: Canned, s3: Any
) -> None:
    """boto3 refuses the first without a request, S3 refuses the second."""
    if "k" * 2000 in uri:
        canned(s3, s3_failure("KeyTooLongError", 400))
        reason = "names no S3 object"
    with pytest.raises(Unrenderable, match=reason):
        reader.read(uri)


def test_an_object_too_large_for_a_body_is_not_read(
    canned: Canned, reader: ObjectReader, s3: Any
) -> None:
    """Its size arrives before its bytes."""
    canned(s3, (200, b"", {"Content-Length": str(MAX_OBJECT_BYTES + 1)}))
    with pytest.raises(Unrenderable, match=r"^names an S3 object of 18,750,001 bytes; at most "):
        reader.read(URI)


@pytest.mark.parametrize(
    "failure",
    [
        s3_failure("SlowDown", 503),
        s3_failure("InternalError", 500),
        s3_failure("RequestTimeout", 400),
        s3_failure("TooManyRequests", 429),
        EndpointConnectionError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        (200, b"half", {"Content-Length": "8"}),
    ],
    ids=["throttled", "5xx", "timeout", "429", "no connection", "no reply", "half a reply"],
)
def test_a_passing_failure_is_retried(
    canned: Canned, reader: ObjectReader, clock: FakeClock, s3: Any, failure: Any
) -> None:
    """By tenacity alone: botocore sends each request once."""
    sent = canned(s3, failure, failure, (200, b"whole"))
    assert reader.read(URI) == b"whole"
    assert (len(sent.sent), len(clock.waits)) == (3, 2)


def test_a_failure_that_stays_fails_the_task(canned: Canned, reader: ObjectReader, s3: Any) -> None:
    """The row is not rejected: tomorrow S3 may answer. The message does not show the row's URI."""
    sent = canned(s3, *[s3_failure("SlowDown", 503)] * FETCH_ATTEMPTS)
    with pytest.raises(StorageUnavailableError) as caught:
        reader.read(URI)
    assert str(caught.value) == "an S3 object that a row names could not be fetched: SlowDown"
    assert len(sent.sent) == FETCH_ATTEMPTS


@pytest.mark.parametrize(
    "wrong", [s3_failure("InvalidAccessKeyId", 403), s3_failure("ExpiredToken", 400),
              NoCredentialsError()],
)  # fmt: skip
def test_wrong_credentials_fail_the_task_at_once(
    canned: Canned, reader: ObjectReader, s3: Any, wrong: Any
) -> None:
    """Else they would reject every row of the table."""
    canned(s3, wrong)
    with pytest.raises(StorageError, match=r"could not be fetched: [A-Z]") as caught:
        reader.read(URI)
    assert not isinstance(caught.value, StorageUnavailableError)


@pytest.mark.parametrize(
    "failure",
    [
        s3_failure("SlowDown", 503),
        s3_failure("SomethingNew", 400),
        s3_failure("AccessDenied", 403),
        EndpointConnectionError(endpoint_url="https://marker-4711.s3/marker-4711"),
        UnsupportedS3ArnError(arn="marker-4711"),
        ParamValidationError(report="marker-4711"),
    ],
    ids=lambda failure: str(failure)[:40],
)
def test_no_failure_shows_the_uri(
    canned: Canned, reader: ObjectReader, s3: Any, failure: Any
) -> None:
    """Nor the bucket: the whole URI is a row's value. Not even in the chain of the error."""
    is_retried = failure in (s3_failure("SlowDown", 503),) or "Endpoint" in str(type(failure))
    canned(s3, *[failure] * (FETCH_ATTEMPTS if is_retried else 1))
    with pytest.raises((StorageError, Unrenderable)) as caught:
        reader.read(MARKED)
    assert "marker-4711" not in "".join(traceback.format_exception(caught.value))
