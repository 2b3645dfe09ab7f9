"""May this process write, read, list and delete in the run folder? A small object is the proof."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from http import HTTPStatus

from bedrock_spark.aws.errors import NO_REPLY, error_code
from bedrock_spark.doctor.asking import UnansweredError, statement
from bedrock_spark.doctor.findings import Finding, error, ok
from bedrock_spark.errors import StorageAccessError, StorageError, StorageUnavailableError
from bedrock_spark.permissions.place import Folder
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

# No doctor works for so long. Clocks of machines may differ by some minutes.
_LEFTOVER_SECONDS = 3_600.0
# What the proof shows by itself, for the caller.
TRIED = ("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject")


def folder_findings(storage: Storage, partition: str, now: float) -> Iterator[Finding]:
    """Yield whether an object can be written, read, listed and deleted below the run folder.

    What a doctor that was killed has left there is deleted, too.
    now: in seconds since the epoch
    Raises UnansweredError if the store does not answer.
    """
    key = layout.doctor_key(now, secrets.token_hex(6))
    data = secrets.token_hex(16).encode()
    listed: list[str] = []

    def list_objects() -> None:
        listed.extend(stored.key for stored in storage.list(layout.doctor_prefix()))

    def delete() -> None:
        storage.delete([key, *(old for old in listed if _is_leftover(old, now))])

    steps: tuple[tuple[str, str, Callable[[], object]], ...] = (
        ("write", "s3:PutObject", lambda: storage.create(key, data)),
        ("read", "s3:GetObject", lambda: storage.read(key)),
        ("list", "s3:ListBucket", list_objects),
        ("delete", "s3:DeleteObject", delete),
    )
    failed = []
    for verb, action, step in steps:
        try:
            step()
        except StorageError as exc:
            if isinstance(exc, StorageUnavailableError) or isinstance(exc.__cause__, NO_REPLY):
                # The same call may succeed later.
                what = f"no reply to {action} ({error_code(exc.__cause__ or exc)})"
                raise UnansweredError(what) from exc
            failed.append(verb)
            fix = _statement(storage.uri, partition, action) if _is_refused(exc) else None
            yield error(f"run folder {storage.uri}: cannot {verb} an object: {exc}", fix)
            if verb == "write":
                return
    if not failed:
        yield ok(f"run folder {storage.uri}: an object was written, read, listed and deleted")


def _is_leftover(key: str, now: float) -> bool:
    """Tell whether an object is of a doctor that is over: another one may be at work."""
    at = layout.written_by_doctor_at(key)
    return at is not None and at < now - _LEFTOVER_SECONDS


def _is_refused(exc: StorageError) -> bool:
    """Tell whether the store refuses the caller: by a code that is known, or by the status."""
    reply = getattr(exc.__cause__, "response", {})
    status = reply.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return isinstance(exc, StorageAccessError) or status == HTTPStatus.FORBIDDEN


def _statement(uri: str, partition: str, action: str) -> str | None:
    folder = Folder.of(uri)
    if folder is None:
        return None
    is_bucket = action == "s3:ListBucket"
    return statement(
        [action], [folder.bucket_arn(partition) if is_bucket else folder.objects(partition)]
    )
