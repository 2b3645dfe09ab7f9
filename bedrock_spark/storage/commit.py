"""Commit several objects at once: a caller waits for the slowest, not for their sum."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bedrock_spark.storage.base import ObjectWriter
from bedrock_spark.storage.s3_writer import S3Writer


def commit_all(writers: Sequence[ObjectWriter]) -> None:
    """Make objects visible, in any order. Raises the error of the first that fails, after all."""
    remote = [writer for writer in writers if isinstance(writer, S3Writer)]
    for writer in writers:
        if writer not in remote:
            writer.commit()  # a rename: it needs no thread
    if remote:
        with ThreadPoolExecutor(len(remote), thread_name_prefix="commit") as pool:
            committing = [pool.submit(writer.commit) for writer in remote]
        for each in committing:
            each.result()
