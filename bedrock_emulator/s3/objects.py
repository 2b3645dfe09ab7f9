"""The S3 objects that the emulated service reads and writes.

There are two stores: the buckets of moto in this process, used without a copy of a whole object in
memory, and any other S3 endpoint, used through boto3.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3
import botocore.exceptions

from bedrock_emulator.s3.moto_concurrency import allow_concurrent_requests
from bedrock_emulator.s3.moto_memory import FileValue, use_less_memory
from bedrock_emulator.settings import ACCOUNT_ID

_CHUNK = 1024 * 1024


class ObjectError(Exception):
    """An object or bucket cannot be read or written. The text can be shown as a job's message."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object's key, and its size in bytes."""

    key: str
    size: int


class ObjectStore(Protocol):
    """The S3 operations that the emulated service needs. They raise ObjectError."""

    def bucket_region(self, bucket: str) -> str | None:
        """Return the Region of a bucket, None if there is no such bucket."""

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return key and size of an object, None if there is no such object."""

    def listing(self, bucket: str, prefix: str) -> list[ObjectInfo]:
        """Return all objects under a prefix, sorted by key."""

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        """Yield the content of an object in chunks."""

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        """Write an object from a local file."""


def lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yield lines, split at "\n" only, without it; one chunk and one line are in memory."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key (or prefix) of an `s3://` URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


class MotoObjects:
    """The buckets of moto in this process.

    It uses moto's models, not HTTP, because moto's GET and PUT hold whole objects in memory.
    `_value_buffer` and `lock` are moto's names for the spooled file of a key and its lock (5.2).
    """

    def __init__(self) -> None:
        import moto.s3.models

        use_less_memory()
        allow_concurrent_requests()
        self._backend: Any = moto.s3.models.s3_backends[ACCOUNT_ID]["aws"]

    def bucket_region(self, bucket: str) -> str | None:
        moto_bucket = self._backend.buckets.get(bucket)
        return None if moto_bucket is None else str(moto_bucket.region_name)

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        moto_key = self._key(bucket, key)
        return None if moto_key is None else ObjectInfo(key, int(moto_key.contentsize))

    def listing(self, bucket: str, prefix: str) -> list[ObjectInfo]:
        moto_bucket = self._backend.buckets.get(bucket)
        if moto_bucket is None:
            return []
        return [
            ObjectInfo(key, int(self._key(bucket, key).contentsize))
            for key in sorted(moto_bucket.keys)
            if key.startswith(prefix) and self._key(bucket, key) is not None
        ]

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        moto_key = self._key(bucket, key)
        if moto_key is None:
            raise ObjectError(f"There is no object s3://{bucket}/{key}.")
        position = 0
        while True:
            with moto_key.lock:
                if moto_key.disposed:
                    raise ObjectError(f"s3://{bucket}/{key} was replaced while it was read.")
                moto_key._value_buffer.seek(position)
                chunk = moto_key._value_buffer.read(_CHUNK)
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        if self._backend.buckets.get(bucket) is None:
            raise ObjectError(f"There is no bucket {bucket}.")
        self._backend.put_object(bucket, key, FileValue(path))

    def _key(self, bucket: str, key: str) -> Any:
        moto_bucket = self._backend.buckets.get(bucket)
        newest = None if moto_bucket is None else moto_bucket.keys.get(key)
        # The newest version of a deleted key is a delete marker, which has no content.
        return newest if hasattr(newest, "contentsize") else None


class S3Objects:
    """Any S3-compatible endpoint, used with the credentials that boto3 finds."""

    def __init__(self, endpoint_url: str, region: str) -> None:
        self._client: Any = boto3.client("s3", endpoint_url=endpoint_url, region_name=region)
        self._region = region

    def bucket_region(self, bucket: str) -> str | None:
        try:
            self._client.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise ObjectError(f"Bucket {bucket} cannot be read: {exc}") from exc
        # Other S3 servers rarely have Regions, so each bucket counts as one of this Region.
        return self._region

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        try:
            head = self._client.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise ObjectError(f"s3://{bucket}/{key} cannot be read: {exc}") from exc
        return ObjectInfo(key, int(head["ContentLength"]))

    def listing(self, bucket: str, prefix: str) -> list[ObjectInfo]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [
            ObjectInfo(item["Key"], int(item["Size"]))
            for page in pages
            for item in page.get("Contents", [])
        ]

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        try:
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
        except botocore.exceptions.ClientError as exc:
            raise ObjectError(f"s3://{bucket}/{key} cannot be read: {exc}") from exc
        with closing(body):
            yield from body.iter_chunks(_CHUNK)

    def put_file(self, bucket: str, key: str, path: Path) -> None:
        try:
            self._client.upload_file(str(path), bucket, key)
        except (botocore.exceptions.ClientError, boto3.exceptions.S3UploadFailedError) as exc:
            raise ObjectError(f"s3://{bucket}/{key} cannot be written: {exc}") from exc
