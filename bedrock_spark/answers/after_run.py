"""Compact the store of answers at the end of a run, and never fail the run by it.

By then the results are published and all answers are kept. Whatever ends a compaction, the store
is right: the old files count until the new ones are in place.
"""

from __future__ import annotations

import errno
import logging

from bedrock_spark.answers.compact import compact_if_many
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import Clock
from bedrock_spark.errors import BedrockSparkError, StorageAccessError
from bedrock_spark.storage import Storage, open_storage
from bedrock_spark.storage.scratch import free_space

_FULL = (errno.ENOSPC, errno.EDQUOT)

log = logging.getLogger(__name__)


def compact_after_run(uri: str, aws: AwsSettings, clock: Clock) -> None:
    """Merge small files of the store at a URI if there are many. Every error becomes a warning."""
    try:
        compact_or_warn(open_storage(uri, aws), clock)
    except BedrockSparkError as exc:
        _warn(uri, exc)


def compact_or_warn(store: Storage, clock: Clock) -> None:
    """Merge small files of a store if there are many. Every error becomes a warning."""
    try:
        done = compact_if_many(store, clock)
    except Exception as exc:  # noqa: BLE001 - of Arrow, a disk, a library: none may fail the run
        _warn(store.uri, exc)
        return
    if done.merged:
        log.info(
            "%s: %d small files became %d; %d files that were replaced earlier were deleted",
            *(store.uri, done.merged, done.written, done.deleted),
        )


def _warn(uri: str, exc: Exception) -> None:
    log.warning(
        "%s: its small files could not be merged: %s. The run is not affected, and all answers are "
        "kept: the old files stay in use. %s. The next run tries again, and so does "
        "`bedrock-spark answers compact %s`; `answers.compact: never` turns it off",
        *(uri, _reason(exc), _advice(exc), uri),
    )


def _reason(exc: Exception) -> str:
    """Return what happened. A message of Arrow may quote a value, such as an answer."""
    if isinstance(exc, BedrockSparkError):
        return str(exc)
    name = type(exc).__name__
    return f"{name}: {exc.strerror}" if isinstance(exc, OSError) and exc.strerror else name


def _advice(exc: Exception) -> str:
    if any(isinstance(each, OSError) and each.errno in _FULL for each in (exc, exc.__cause__)):
        places = ", ".join(str(place) for place, _ in free_space())
        return f"Free space on the disk of {places}, where merged files are made, or of the store"
    if isinstance(exc, StorageAccessError):
        return "Allow this process to read and write there"
    if isinstance(exc, MemoryError):
        return "Give this process more memory"
    return "If it stays so, look at the files that it names"
