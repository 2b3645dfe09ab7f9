"""Copy objects between storages: within S3 without passing through this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bedrock_spark.storage.base import Storage
from bedrock_spark.storage.s3 import S3Storage


def copy_object(source: Storage, target: Storage, key: str) -> None:
    """Copy one object to the same key below another URI."""
    if isinstance(source, S3Storage) and isinstance(target, S3Storage):
        target.copy_from(source, key)
        return
    with tempfile.TemporaryDirectory(prefix="copy-") as folder:
        path = Path(folder, "object")
        source.download(key, path)
        target.upload(path, key)


def copy_below(source: Storage, target: Storage, prefix: str) -> None:
    """Copy every object below a prefix that is not there in the same size: safe to repeat."""
    there = {o.key: o.size for o in target.list(prefix)}
    for found in source.list(prefix):
        if there.get(found.key) != found.size:
            copy_object(source, target, found.key)
