"""Objects under one URI: in S3 through boto3, or in a local folder."""

from __future__ import annotations

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.s3_spelling import as_s3
from bedrock_spark.storage.at_once import Calls, calls_at_once
from bedrock_spark.storage.base import ObjectWriter, Storage, StoredObject
from bedrock_spark.storage.commit import commit_all
from bedrock_spark.storage.copy import copy_below, copy_object
from bedrock_spark.storage.listing import list_all, scan_ahead
from bedrock_spark.storage.local import LocalStorage
from bedrock_spark.storage.read_ahead import LineReader, Piece, read_ahead
from bedrock_spark.storage.s3 import S3Storage
from bedrock_spark.storage.scratch import free_space, scratch_folder

__all__ = [
    "Calls",
    "LineReader",
    "LocalStorage",
    "ObjectWriter",
    "Piece",
    "S3Storage",
    "Storage",
    "StoredObject",
    "calls_at_once",
    "commit_all",
    "copy_below",
    "copy_object",
    "free_space",
    "list_all",
    "open_storage",
    "read_ahead",
    "scan_ahead",
    "scratch_folder",
]


def open_storage(uri: str, aws: AwsSettings) -> Storage:
    """Return the storage below a URI: S3 for `s3://`, else a local folder. Makes no call."""
    uri = as_s3(uri)
    if uri.startswith("s3://"):
        return S3Storage(uri, aws)
    return LocalStorage(uri)
