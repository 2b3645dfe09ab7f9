"""Delete what killed processes left in the run folder: multipart uploads, temporary files.

Of uploads, only those below the folders that this package writes large objects into. Not those
below output/: Bedrock writes there, and a job may take a week.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bedrock_spark.clock import Clock
from bedrock_spark.errors import StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# Longer than any write takes: a write that is still going on must not be deleted.
_AGE_SECONDS = 86_400.0
# Where this package writes objects that are large enough for a multipart upload.
_FOLDERS = (
    layout.SHARDS,
    layout.INDEX,
    layout.ROWS,
    layout.REJECTS,
    layout.KEPT,
    layout.REMAINDERS,
    layout.FALLBACK,
    layout.RESULTS,
    layout.DEADLETTERS,
)


def delete_leftovers(storages: Iterable[Storage], clock: Clock) -> None:
    """Delete leftovers that are older than a day. A failure is logged: they do no harm but cost."""
    prefixes = [f"{folder}/" for folder in _FOLDERS]
    for storage in storages:
        try:
            deleted = storage.delete_leftovers(prefixes, clock.now() - _AGE_SECONDS)
        except StorageError as exc:
            log.warning("leftovers of killed processes were not deleted: %s", exc)
            continue
        if deleted:
            log.info("%s: deleted %d leftovers of killed processes", storage.uri, deleted)
