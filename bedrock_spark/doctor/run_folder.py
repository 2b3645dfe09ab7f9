"""May this process write, read, list and delete in the run folder? A small object is the proof."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from bedrock_spark.doctor.asking import statement
from bedrock_spark.doctor.findings import Finding, error, ok
from bedrock_spark.errors import StorageError, StorageUnavailableError
from bedrock_spark.permissions.place import Folder
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

_NAME = "doctor"
# What the proof shows by itself, for the caller.
TRIED = ("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject")


def folder_findings(storage: Storage, partition: str) -> Iterator[Finding]:
    """Yield whether an object can be written, read, listed and deleted below the run folder."""
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
        except StorageUnavailableError:  # the same call may succeed later: not checked
            raise
        except StorageError as exc:
            failed.append(verb)
            fix = _statement(storage.uri, partition, action)
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
