"""Objects in S3 that rows name: an object's bytes, or why there are none.

That an object is not there, or may not be read, is its row's fault and a reason to reject the row.
That S3 throttles or does not answer is nobody's, and is tried again; what is left after that ends
the task. No message names the object: its key is data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from bedrock_spark import limits
from bedrock_spark.aws.clients import AwsSettings, object_client
from bedrock_spark.aws.retry import retry_fetch
from bedrock_spark.aws.s3_uri import S3Location, parse_s3_uri
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import StorageError, StorageUnavailableError
from bedrock_spark.templates.json_values import Unrenderable

# What fits into a body as base64, which is 4 bytes for 3.
MAX_OBJECT_BYTES = limits.MAX_BODY_BYTES // 4 * 3

# Amazon S3 API reference, "Error responses". Without s3:ListBucket an object that is not there is
# AccessDenied too. Wrong or expired credentials have codes of their own and end the task.
_REASONS = {
    "NoSuchKey": "names an S3 object that is not there",
    "NoSuchBucket": "names an S3 bucket that is not there",
    "AccessDenied": "names an S3 object that is not there or may not be read",
    "AllAccessDisabled": "names an S3 object that may not be read",
    "InvalidObjectState": "names an S3 object that is archived",
    "InvalidBucketName": "names no S3 bucket",
    "KeyTooLongError": "names no S3 object",
}
_THROTTLED = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException"}
_NO_REPLY = (BotoConnectionError, HTTPClientError, IncompleteReadError)


@dataclass(frozen=True)
class ObjectReader:
    """Reads objects of any bucket. Safe to use from many threads.

    connections: as many threads as will use it
    """

    aws: AwsSettings
    connections: int
    clock: Clock = field(default_factory=SystemClock)
    max_bytes: int = MAX_OBJECT_BYTES

    def read(self, uri: str) -> bytes:
        """Return an object's bytes. Raises Unrenderable for the row, StorageError for the task."""
        data: bytes = self._ask(uri, self._get)
        return data

    def size(self, uri: str) -> int:
        """Return an object's size. Raises as read does."""
        size: int = self._ask(uri, self._head)
        return size

    def _ask(self, uri: str, call: Callable[[S3Location], Any]) -> Any:
        return retry_fetch(self.clock)(_checked, call, parse_s3_uri(uri))

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
    def _client(self) -> Any:
        return object_client(self.aws, self.connections)


def _checked(call: Callable[[S3Location], Any], location: S3Location) -> Any:
    try:
        return call(location)
    except ClientError as exc:
        raise _failure(exc, location) from None
    except ParamValidationError:
        raise Unrenderable("is not the s3:// URI of an object") from None
    except _NO_REPLY as exc:
        raise StorageUnavailableError(
            f"s3://{location.bucket}: an object could not be fetched: {type(exc).__name__}"
        ) from None
    except BotoCoreError as exc:
        raise StorageError(
            f"s3://{location.bucket}: an object could not be fetched: {exc}"
        ) from exc


def _failure(exc: ClientError, location: S3Location) -> Exception:
    error = exc.response.get("Error", {})
    code, status = error.get("Code", ""), exc.response["ResponseMetadata"]["HTTPStatusCode"]
    code = {"404": "NoSuchKey", "403": "AccessDenied"}.get(code, code)  # HEAD has no more to say
    if code in _REASONS:
        return Unrenderable(f"{_REASONS[code]} ({code})")
    what = f"{_what(location)}: {code}"
    if status >= 500 or status == 429 or code in _THROTTLED:
        return StorageUnavailableError(what)
    return StorageError(f"{what}: {error.get('Message', '')}")


def _what(location: S3Location) -> str:
    return f"s3://{location.bucket}: an object could not be fetched"
