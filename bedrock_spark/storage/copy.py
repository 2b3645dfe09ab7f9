"""Copy objects between storages. Within S3, the bytes do not pass through this machine."""

from __future__ import annotations

from bedrock_spark.storage.base import Storage
from bedrock_spark.storage.s3 import S3Storage
from bedrock_spark.storage.scratch import scratch_folder


def copy_object(source: Storage, target: Storage, key: str) -> None:
    """Copy one object to the same key below another URI."""
    if isinstance(source, S3Storage) and isinstance(target, S3Storage):
        target.copy_from(source, key)
        return
    with scratch_folder("copy") as folder:
        path = folder / "object"
        source.download(key, path)
        target.upload(path, key)


def copy_below(source: Storage, target: Storage, prefix: str) -> int:
    """Copy every object below a prefix, unless the target has it in the same size. Idempotent.

    Returns how many were copied.
    """
    copied_sizes = {o.key: o.size for o in target.list(prefix)}
    missing = [o.key for o in source.list(prefix) if copied_sizes.get(o.key) != o.size]
    for key in missing:
        copy_object(source, target, key)
    return len(missing)
