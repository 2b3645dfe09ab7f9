"""Objects in S3, through boto3: the one credential chain that users configure.

S3's writes are atomic, multipart uploads too. Create-only writes and compare-and-swap are S3's
conditional writes: `If-None-Match: *` and `If-Match: <ETag>`
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from bedrock_spark.aws.clients import AwsSettings, s3_client
from bedrock_spark.aws.protocols import S3Client
from bedrock_spark.aws.s3_uri import join_uri, parse_s3_uri
from bedrock_spark.errors import AlreadyExistsError, ObjectChangedError, StorageError
from bedrock_spark.storage.base import StoredObject

# Error codes. A reply without a body has its HTTP status as code.
_ABSENT = {"NoSuchKey", "404"}
_EMPTY = {"InvalidRange", "416"}
# Another write came first, or runs at the same time.
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}

# The maximum number of keys in one DeleteObjects call, from the Amazon S3 API reference.
_MAX_DELETED_KEYS = 1000


class S3Storage:
    """Storage below an s3:// URI. The first call makes the client, once per process."""

    def __init__(self, uri: str, aws: AwsSettings) -> None:
        self.uri = uri.rstrip("/")
        self.aws = aws
        location = parse_s3_uri(self.uri)
        self._bucket = location.bucket
        self._prefix = f"{location.key}/" if location.key else ""

    @property
    def _client(self) -> S3Client:
        return s3_client(self.aws)

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        data = self.read_if_present(key)
        if data is None:
            raise StorageError(f"{join_uri(self.uri, key)}: there is no such object", key=key)
        return data

    def read_if_present(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if the object does not exist."""
        with self._storage_errors(key):
            try:
                reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                data: bytes = reply["Body"].read()
            except ClientError as exc:
                if exc.response["Error"]["Code"] in _ABSENT:
                    return None
                raise
            return data

    def read_head(self, key: str, max_bytes: int) -> bytes:
        """Return the first `max_bytes` bytes of an object, by a range request."""
        with self._storage_errors(key):
            try:
                reply = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes=0-{max_bytes - 1}"
                )
            except ClientError as exc:
                if exc.response["Error"]["Code"] in _EMPTY:
                    return b""  # an empty object satisfies no range request
                raise
            data: bytes = reply["Body"].read()
            return data

    def write(self, key: str, data: bytes) -> None:
        """Write an object."""
        with self._storage_errors(key):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def create(self, key: str, data: bytes) -> None:
        """Write an object that does not exist yet: If-None-Match."""
        with self._storage_errors(key):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*"
                )
            except ClientError as exc:
                if exc.response["Error"]["Code"] in _CONFLICT:
                    where = join_uri(self.uri, key)
                    raise AlreadyExistsError(f"{where}: exists already", key=key) from exc
                raise

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and its ETag, or None if the object does not exist."""
        with self._storage_errors(key):
            try:
                reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return reply["Body"].read(), str(reply["ETag"])
            except ClientError as exc:
                if exc.response["Error"]["Code"] in _ABSENT:
                    return None
                raise

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        """Compare and swap: If-Match, or If-None-Match if the object must not exist yet."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with self._storage_errors(key):
            try:
                reply = self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=data, **condition
                )
                return str(reply["ETag"])
            except ClientError as exc:
                if exc.response["Error"]["Code"] not in _CONFLICT | _ABSENT:
                    raise
                return self._own_put(key, data, exc)

    def _own_put(self, key: str, data: bytes, refusal: ClientError) -> str:
        """Return the version of our own put, if botocore repeated it because its reply was lost.

        The repeated put fails, because the first one has changed the version. Raises
        ObjectChangedError if the object has other bytes.
        """
        current = self.read_version(key)
        if current is not None and current[0] == data:
            return current[1]
        where = join_uri(self.uri, key)
        raise ObjectChangedError(f"{where}: was changed meanwhile", key=key) from refusal

    def upload(self, path: Path, key: str) -> None:
        """Write a file as an object, as a multipart upload if it is large."""
        with self._storage_errors(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key)

    def download(self, key: str, path: Path) -> None:
        """Copy an object into a file."""
        with self._storage_errors(key):
            self._client.download_file(self._bucket, self._prefix + key, str(path))

    def copy_from(self, source: S3Storage, key: str) -> None:
        """Copy an object from another URI in S3, as a multipart copy if it is large."""
        copied = {"Bucket": source._bucket, "Key": source._prefix + key}
        with self._storage_errors(key):
            self._client.copy(copied, self._bucket, self._prefix + key, SourceClient=source._client)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, 1,000 per call. Raises StorageError for the first that S3 keeps."""
        for start in range(0, len(keys), _MAX_DELETED_KEYS):
            batch = keys[start : start + _MAX_DELETED_KEYS]
            with self._storage_errors(batch[0]):
                names = [{"Key": self._prefix + key} for key in batch]
                reply = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": names, "Quiet": True}
                )
            for error in reply.get("Errors", ()):
                raise StorageError(f"s3://{self._bucket}/{error['Key']}: {error['Message']}")

    def list(self, prefix: str) -> list[StoredObject]:
        """Return the objects of every page of the listing."""
        objects = []
        with self._storage_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    objects.append(StoredObject(key, item["Size"], item["ETag"].strip('"')))
        return objects

    @contextmanager
    def _storage_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error, OSError) as exc:
            where = join_uri(self.uri, key)
            raise StorageError(f"{where}: {exc}", key=key) from exc
