"""S3 refuses the caller: an error of its own kind, which says what to check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
)

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.errors import JOB_ERRORS, access_advice
from bedrock_spark.errors import StorageAccessError, StorageError
from bedrock_spark.storage.s3 import S3Storage


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


@pytest.mark.parametrize("code", ["NoSuchBucket", "SlowDown", "InternalError", "500"])
def test_other_errors_are_none_of_access(storage: Any, code: str) -> None:
    """They keep their own exit code."""
    with pytest.raises(StorageError) as caught:
        storage(refused(code)).list("")
    assert not isinstance(caught.value, StorageAccessError)


def test_no_code_of_the_job_calls_is_missed() -> None:
    """Of the codes of Bedrock's service model, exactly one refuses the caller."""
    assert [c for c in JOB_ERRORS if access_advice(refused(c))] == ["AccessDeniedException"]
