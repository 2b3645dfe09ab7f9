"""S3 refuses the caller, or is not available: errors of their own kinds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    SSOTokenLoadError,
)
from botocore.parsers import ResponseParserError

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.errors import JOB_ERRORS, access_advice
from bedrock_spark.errors import StorageAccessError, StorageError, StorageUnavailableError
from bedrock_spark.storage.s3 import S3Storage

LATER = "Run the same command later"


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")


class Refusing:
    """An S3 client each of whose calls raises this error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> Any:
            if name == "upload_file" and isinstance(self.error, ClientError):
                try:
                    raise self.error
                except ClientError:
                    raise S3UploadFailedError("Failed to upload")  # noqa: B904 - as boto3 does
            raise self.error

        return call


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Any:
    def open_with(error: Exception) -> S3Storage:
        monkeypatch.setattr(S3Storage, "_client", Refusing(error))
        return S3Storage("s3://bucket/run", AwsSettings("us-east-1"))

    return open_with


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (NoCredentialsError(), "AWS_PROFILE"),
        (PartialCredentialsError(provider="env", cred_var="secret"), "AWS_PROFILE"),
        (CredentialRetrievalError(provider="sso", error_msg="x"), "AWS_PROFILE"),
        (ProfileNotFound(profile="no"), "AWS_PROFILE"),
        (SSOTokenLoadError(error_msg="x"), "aws sso login"),
        *((refused(code), "allow the call") for code in ("AccessDenied", "403")),
        (refused("ExpiredToken"), "renew them"),
        *((refused(c), "AWS_PROFILE") for c in ("InvalidAccessKeyId", "SignatureDoesNotMatch")),
    ],
)
def test_a_refused_caller_is_an_error_of_its_own(
    storage: Any, error: Exception, advice: str, tmp_path: Path
) -> None:
    """Whichever call meets it: reading, writing on a condition, listing, a transfer."""
    refusing = storage(error)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    for call in (
        lambda: refusing.read("k"),
        lambda: refusing.create("k", b"x"),
        lambda: refusing.list(""),
        lambda: refusing.upload(path, "k"),
    ):
        with pytest.raises(StorageAccessError, match=advice):
            call()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        *((refused(code), LATER) for code in ("SlowDown", "InternalError", "RequestTimeout")),
        *((refused(code), LATER) for code in ("500", "503", "429", "ServiceUnavailable")),
        *((refused(code), LATER) for code in ("Throttling", "RequestLimitExceeded")),
        (ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject"), LATER),  # type: ignore[typeddict-item]
        (EndpointConnectionError(endpoint_url="https://s3"), "Check the network"),
        (SSLError(endpoint_url="https://s3", error="expired"), "Check the network"),
        (ProxyConnectionError(proxy_url="http://p"), "Check the network"),
        (ReadTimeoutError(endpoint_url="https://s3"), LATER),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), LATER),
        (ResponseParserError("<html>"), "is a proxy between"),
    ],
)
def test_s3_that_is_not_available_is_an_error_of_its_own(
    storage: Any, error: Exception, advice: str, tmp_path: Path
) -> None:
    """Throttled, failed or without a reply, whichever call meets it: it may succeed later.

    Without a connection, it may be the user's network or endpoint.
    """
    refusing = storage(error)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    for call in (
        lambda: refusing.read("k"),
        lambda: refusing.write("k", b"x"),
        lambda: refusing.create("k", b"x"),
        lambda: refusing.list(""),
        lambda: refusing.upload(path, "k"),
        lambda: refusing.delete(["k"]),
    ):
        with pytest.raises(StorageUnavailableError, match=advice) as caught:
            call()
        assert "<html>" not in str(caught.value)


def test_a_download_whose_repeats_are_used_up_is_not_available(storage: Any) -> None:
    """boto3 has an error of its own for them."""
    error = RetriesExceededError(ReadTimeoutError(endpoint_url="https://s3"))
    with pytest.raises(StorageUnavailableError):
        storage(error).download("k", Path("file"))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SlowDown", StorageUnavailableError),
        ("AccessDenied", StorageAccessError),
        ("MalformedXML", StorageError),
    ],
)
def test_an_object_that_s3_keeps_is_told_by_its_code(
    monkeypatch: pytest.MonkeyPatch, code: str, kind: type[StorageError]
) -> None:
    reply = {"Errors": [{"Key": "run/k", "Code": code, "Message": "no"}]}
    client = SimpleNamespace(delete_objects=lambda **_: reply)
    monkeypatch.setattr(S3Storage, "_client", client)
    with pytest.raises(StorageError) as caught:
        S3Storage("s3://bucket/run", AwsSettings("us-east-1")).delete(["k"])
    assert (type(caught.value), caught.value.key) == (kind, "k")


@pytest.mark.parametrize("code", ["NoSuchBucket", "MalformedXML", "400"])
def test_other_errors_are_neither(storage: Any, code: str) -> None:
    """A repeated call would fail again."""
    with pytest.raises(StorageError) as caught:
        storage(refused(code)).list("")
    assert type(caught.value) is StorageError


def test_no_code_of_the_job_calls_is_missed() -> None:
    """Of the codes of Bedrock's service model, exactly one refuses the caller."""
    assert [c for c in JOB_ERRORS if access_advice(refused(c))] == ["AccessDeniedException"]
