"""Read objects in S3 that rows name, or say why they cannot be read.

An object that does not exist, or may not be read, is a reason to reject its row. If S3 throttles or
does not answer, the row is not at fault: the call is repeated, and if that does not help the task
fails. No message names the object or its bucket, because a row's URI is data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ParamValidationError,
)

from bedrock_spark import limits
from bedrock_spark.aws.clients import AwsSettings, object_client
from bedrock_spark.aws.errors import NO_CREDENTIALS, NO_REPLY, is_passing
from bedrock_spark.aws.protocols import S3Client
from bedrock_spark.aws.retry import retry_fetch
from bedrock_spark.aws.s3_uri import S3Location, parse_s3_uri
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import StorageError, StorageUnavailableError
from bedrock_spark.templates.json_values import Unrenderable

# The largest object that fits into a body as base64, which turns 3 bytes into 4.
MAX_OBJECT_BYTES = limits.MAX_BODY_BYTES // 4 * 3

# Amazon S3 API reference, "Error responses". Without s3:ListBucket, AccessDenied may also mean that
# the object does not exist. Wrong or expired credentials have other codes and end the task.
_REASONS = {
    "NoSuchKey": "names an S3 object that is not there",
    "NoSuchBucket": "names an S3 bucket that is not there",
    "AccessDenied": "names an S3 object that is not there or may not be read",
    "AllAccessDisabled": "names an S3 object that may not be read",
    "InvalidObjectState": "names an S3 object that is archived",
    "InvalidBucketName": "names no S3 bucket",
    "KeyTooLongError": "names no S3 object",
}
_FAILED = "an S3 object that a row names could not be fetched"


@dataclass(frozen=True)
class ObjectReader:
    """Reads objects of any bucket. Safe to use from many threads.

    connections: the number of threads that use it at the same time
    max_bytes: the largest object that is read
    """

    aws: AwsSettings
    connections: int
    clock: Clock = field(default_factory=SystemClock)
    max_bytes: int = MAX_OBJECT_BYTES

    def read(self, uri: str) -> bytes:
        """Return an object's bytes.

        Raises Unrenderable if the row must be rejected, and StorageError if the task must fail.
        """
        data: bytes = self._call(uri, self._get)
        return data

    def size(self, uri: str) -> int:
        """Return an object's size in bytes, without reading it. Raises the same errors as read."""
        size: int = self._call(uri, self._head)
        return size

    def _call(self, uri: str, call: Callable[[S3Location], Any]) -> Any:
        return retry_fetch(self.clock)(_with_our_errors, call, parse_s3_uri(uri))

    def _get(self, location: S3Location) -> bytes:
        reply = self._client.get_object(Bucket=location.bucket, Key=location.key)
        size = reply["ContentLength"]
        if size > self.max_bytes:
            reply["Body"].close()
            raise Unrenderable(
                f"names an S3 object of {size:,} bytes; at most {self.max_bytes:,} fit into a body"
            )
        data: bytes = reply["Body"].read()
        return data

    def _head(self, location: S3Location) -> int:
        reply = self._client.head_object(Bucket=location.bucket, Key=location.key)
        return int(reply["ContentLength"])

    @property
    def _client(self) -> S3Client:
        return object_client(self.aws, self.connections)


def _with_our_errors(call: Callable[[S3Location], Any], location: S3Location) -> Any:
    try:
        return call(location)
    except ClientError as exc:
        raise _failure(exc) from None
    except ParamValidationError:
        raise Unrenderable("is not the s3:// URI of an object") from None
    except NO_REPLY as exc:
        raise StorageUnavailableError(f"{_FAILED}: {type(exc).__name__}") from None
    except NO_CREDENTIALS as exc:
        raise StorageError(f"{_FAILED}: {exc}") from exc
    except BotoCoreError as exc:
        # Other messages may quote the URI.
        raise StorageError(f"{_FAILED}: {type(exc).__name__}") from None


def _failure(exc: ClientError) -> Exception:
    error = exc.response.get("Error", {})
    code, status = error.get("Code", ""), exc.response["ResponseMetadata"]["HTTPStatusCode"]
    # The reply to HEAD has no body, so botocore puts the status in place of the code.
    code = {"404": "NoSuchKey", "403": "AccessDenied"}.get(code, code)
    if code in _REASONS:
        return Unrenderable(f"{_REASONS[code]} ({code})")
    message = f"{_FAILED}: {code}"
    if is_passing(code, status):
        return StorageUnavailableError(message)
    return StorageError(message)
