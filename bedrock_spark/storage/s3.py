"""Objects in S3, through boto3: the one credential chain that users configure.

S3's writes are atomic, multipart uploads too. Create-only writes and compare-and-swap are S3's
conditional writes: `If-None-Match: *` and `If-Match: <ETag>`
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). Their replies:

    412  the condition does not hold. It is our own doing if the reply to our first put was lost and
         botocore repeated it; a random mark in the object's metadata shows whose put it was
    409  another write of the object runs at the same time: nothing is decided, so try again
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from bedrock_spark.aws.clients import AwsSettings, s3_client
from bedrock_spark.aws.errors import (
    access_advice,
    access_advice_on,
    error_code,
    is_passing,
    unavailable_advice,
)
from bedrock_spark.aws.protocols import S3Client
from bedrock_spark.aws.retry import retry_conflict
from bedrock_spark.aws.s3_uri import join_uri, parse_s3_uri
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import (
    AlreadyExistsError,
    ObjectChangedError,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
)
from bedrock_spark.storage.base import PARTS_BEHIND, StoredObject, changed_while_read
from bedrock_spark.storage.s3_download import Download
from bedrock_spark.storage.s3_writer import S3Writer

# Error codes. A reply without a body has its HTTP status as code.
_ABSENT = {"NoSuchKey", "404"}
_EMPTY = {"InvalidRange", "416"}
_CHANGED = {"PreconditionFailed", "412"}
# The condition of a write does not hold. With If-Match, the object may also have been deleted.
_REFUSED = _CHANGED | _ABSENT
# Another write of the same object runs at the same time.
_UNDECIDED = {"ConditionalRequestConflict", "OperationAborted", "409"}
# The name of the object metadata that marks a put.
_MARK = "bedrock-spark-put"

# The maximum number of keys in one DeleteObjects call, from the Amazon S3 API reference.
_MAX_DELETED_KEYS = 1000

# A browser saves what is of the default kind instead of showing it.
_PAGE, _DATA = "text/html; charset=utf-8", "binary/octet-stream"


class S3Storage:
    """Storage below an s3:// URI. The first call makes the client, once per process."""

    def __init__(self, uri: str, aws: AwsSettings, clock: Clock | None = None) -> None:
        self.uri = uri.rstrip("/")
        self.aws = aws
        self._clock = clock or SystemClock()
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
                if error_code(exc) in _ABSENT:
                    return None
                raise
            return data

    def read_range(self, key: str, start: int, stop: int, version: str | None = None) -> bytes:
        """Return the bytes of an object from `start` up to `stop`, by a range request."""
        condition = {} if version is None else {"IfMatch": f'"{version}"'}
        with self._storage_errors(key):
            try:
                reply = self._client.get_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Range=f"bytes={start}-{stop - 1}",
                    **condition,
                )
            except ClientError as exc:
                if error_code(exc) in _EMPTY:
                    return b""  # the object ends before `start`
                if version is not None and error_code(exc) in _CHANGED:
                    raise changed_while_read(join_uri(self.uri, key), key) from exc
                raise
            data: bytes = reply["Body"].read()
            return data

    def write(self, key: str, data: bytes) -> str:
        """Write an object; return its ETag."""
        with self._storage_errors(key):
            name = self._prefix + key
            kind = _PAGE if key.endswith(".html") else _DATA
            put = self._client.put_object
            reply = put(Bucket=self._bucket, Key=name, Body=data, ContentType=kind)
            return str(reply["ETag"]).strip('"')

    def create(self, key: str, data: bytes) -> None:
        """Write an object that does not exist yet: If-None-Match."""
        if self._put_if(key, data, {"IfNoneMatch": "*"}) is None:
            raise AlreadyExistsError(f"{join_uri(self.uri, key)}: exists already", key=key)

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and its ETag, or None if the object does not exist."""
        with self._storage_errors(key):
            try:
                reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return reply["Body"].read(), str(reply["ETag"])
            except ClientError as exc:
                if error_code(exc) in _ABSENT:
                    return None
                raise

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        """Compare and swap: If-Match, or If-None-Match if the object must not exist yet."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        new_version = self._put_if(key, data, condition)
        if new_version is None:
            raise ObjectChangedError(f"{join_uri(self.uri, key)}: was changed meanwhile", key=key)
        return new_version

    def _put_if(self, key: str, data: bytes, condition: dict[str, str]) -> str | None:
        """Write an object on a condition; return its version, or None if the condition is false."""
        mark = secrets.token_hex(16)
        with self._storage_errors(key):
            try:
                put_once = retry_conflict(self._clock)
                return put_once(self._put_marked, key, data, mark, condition)
            except ClientError as exc:
                if error_code(exc) not in _REFUSED:
                    raise
                return self._own_put(key, mark)

    def _put_marked(self, key: str, data: bytes, mark: str, condition: dict[str, str]) -> str:
        try:
            reply = self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                Metadata={_MARK: mark},
                **condition,
            )
        except ClientError as exc:
            code = error_code(exc)
            if code in _UNDECIDED:
                raise StorageUnavailableError(
                    f"{join_uri(self.uri, key)}: was not written, because other writes of it ran "
                    f"at the same time ({code}); run the same command again",
                    key=key,
                ) from exc
            raise
        return str(reply["ETag"])

    def _own_put(self, key: str, mark: str) -> str | None:
        """Return the version of our own put, if botocore repeated it because its reply was lost.

        The repeated put is refused, because the first one has changed the version. Returns None if
        the object has the mark of another put, even if that wrote the same bytes.
        """
        try:
            reply = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as exc:
            if error_code(exc) in _ABSENT:
                return None
            raise
        is_own = reply.get("Metadata", {}).get(_MARK) == mark
        return str(reply["ETag"]) if is_own else None

    def writer(self, key: str, behind: int = PARTS_BEHIND) -> S3Writer:
        """Begin an object, which becomes a multipart upload if it is large."""
        errors = partial(self._storage_errors, key)
        return S3Writer(self._client, self._bucket, self._prefix + key, errors, behind)

    def upload(self, path: Path, key: str) -> None:
        """Write a file as an object, as a multipart upload if it is large."""
        with self._storage_errors(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key)

    def download(self, key: str, path: Path, size: int | None = None) -> None:
        """Copy an object into a file, by ranges that are read at once."""
        name, place = self._prefix + key, join_uri(self.uri, key)
        with self._storage_errors(key):
            Download(self._client, self._bucket, name, place, key, size).into(path)

    def fetch(self, key: str, path: Path, size: int | None = None) -> Path:
        """Return a local copy of an object."""
        self.download(key, path, size)
        return path

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
                raise self._not_deleted(error)

    def _not_deleted(self, error: Mapping[str, str]) -> StorageError:
        code, key = error["Code"], error["Key"].removeprefix(self._prefix)
        text = f"s3://{self._bucket}/{error['Key']}: {error['Message']}"
        advice = access_advice_on(code)
        if advice is not None:
            return StorageAccessError(f"{text}. {advice}", key=key)
        return (StorageUnavailableError if is_passing(code) else StorageError)(text, key=key)

    def keeps_versions(self, key: str) -> bool:
        """Tell whether the object has a version id: then the bucket has, or had, versioning.

        So it needs no permission of its own, such as s3:GetBucketVersioning.
        """
        with self._storage_errors(key):
            reply = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            return "VersionId" in reply

    def list(self, prefix: str) -> list[StoredObject]:
        """Return the objects of every page of the listing."""
        return list(self.scan(prefix))

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects of every page of the listing, in the order of keys."""
        for page in self._pages(prefix):
            for item in page.get("Contents", ()):
                key = item["Key"].removeprefix(self._prefix)
                yield StoredObject(key, item["Size"], item["ETag"].strip('"'))

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the common prefixes of a listing by `/`."""
        return [
            str(item["Prefix"]).removeprefix(self._prefix)
            for page in self._pages(prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        ]

    def _pages(self, prefix: str, **options: str) -> Iterator[Any]:
        """Yield the pages of a listing. Errors of what the caller does meanwhile are its own."""
        with self._storage_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, **options
            )
            following = iter(pages)
        while True:
            with self._storage_errors(prefix):
                page = next(following, None)
            if page is None:
                return
            yield page

    def delete_leftovers(self, prefixes: Sequence[str], before: float) -> int:
        """Abort old multipart uploads: their parts are billed, and no listing of objects has them.

        An upload that fails is aborted by boto3; one whose process is killed is not.
        """
        ours = tuple(self._prefix + prefix for prefix in prefixes)
        aborted = 0
        with self._storage_errors(""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for upload in (upload for page in pages for upload in page.get("Uploads", ())):
                if upload["Key"].startswith(ours) and upload["Initiated"].timestamp() < before:
                    self._abort(upload["Key"], upload["UploadId"])
                    aborted += 1
        return aborted

    def _abort(self, name: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload_id)
        except ClientError as exc:
            if error_code(exc) not in _ABSENT | {"NoSuchUpload"}:
                raise

    @contextmanager
    def _storage_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except ResponseParserError as exc:
            # A proxy has answered. botocore's message has its whole page.
            what = f"{join_uri(self.uri, key)}: the reply is not one of S3"
            raise StorageUnavailableError(f"{what}; is a proxy between?", key=key) from exc
        except (ClientError, BotoCoreError, Boto3Error, OSError) as exc:
            where, advice = join_uri(self.uri, key), access_advice(exc)
            if advice is not None:
                raise StorageAccessError(f"{where}: {exc}. {advice}", key=key) from exc
            advice = unavailable_advice(exc)
            if advice is not None:
                raise StorageUnavailableError(f"{where}: {exc}. {advice}", key=key) from exc
            raise StorageError(f"{where}: {exc}", key=key) from exc
