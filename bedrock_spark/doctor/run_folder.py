"""May this process write, read, list and delete in the run folder? A small object is the proof."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from bedrock_spark.aws.errors import NO_REPLY, error_code
from bedrock_spark.doctor.asking import UnansweredError, statement
from bedrock_spark.doctor.findings import Finding, error, ok
from bedrock_spark.errors import StorageAccessError, StorageError, StorageUnavailableError
from bedrock_spark.permissions.place import Folder
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

_NAME = "doctor"
# What the proof shows by itself, for the caller.
TRIED = ("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject")


def folder_findings(storage: Storage, partition: str) -> Iterator[Finding]:
    """Yield whether an object can be written, read, listed and deleted below the run folder.

    Raises UnansweredError if the store does not answer.
    """
    key = layout.probe_key(layout.new_prepare_id(), _NAME)
    data = secrets.token_hex(16).encode()
    steps: tuple[tuple[str, str, Callable[[], object]], ...] = (
        ("write", "s3:PutObject", lambda: storage.create(key, data)),
        ("read", "s3:GetObject", lambda: storage.read(key)),
        ("list", "s3:ListBucket", lambda: storage.list(key)),
        ("delete", "s3:DeleteObject", lambda: storage.delete([key])),
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
            is_refused = isinstance(exc, StorageAccessError)
            fix = _statement(storage.uri, partition, action) if is_refused else None
            yield error(f"run folder {storage.uri}: cannot {verb} an object: {exc}", fix)
            if verb == "write":
                return
    if not failed:
        yield ok(f"run folder {storage.uri}: an object was written, read, listed and deleted")


def _statement(uri: str, partition: str, action: str) -> str | None:
    folder = Folder.of(uri)
    if folder is None:
        return None
    is_bucket = action == "s3:ListBucket"
    return statement(
        [action], [folder.bucket_arn(partition) if is_bucket else folder.objects(partition)]
    )
