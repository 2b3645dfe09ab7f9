"""Join and split `s3://` URIs."""

from __future__ import annotations

from dataclasses import dataclass


def join_uri(base: str, key: str) -> str:
    """Return the URI of a key below another URI."""
    return f"{base.rstrip('/')}/{key}"


@dataclass(frozen=True)
class S3Location:
    """A bucket and a key (or prefix) in it."""

    bucket: str
    key: str


def parse_s3_uri(uri: str) -> S3Location:
    """Split `s3://bucket/key` into bucket and key. A URI without a key has the key ''."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return S3Location(bucket, key)
