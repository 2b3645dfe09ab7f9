"""Repeat a write that failed only because another writer changed the table at the same time.

Delta Lake and Iceberg commit optimistically: of two writers that read the same version, the second
one fails if what it read was changed (https://docs.delta.io/latest/concurrency-control.html,
https://iceberg.apache.org/docs/latest/reliability/). Nothing of its write is in the table then.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from bedrock_spark.clock import Clock
from bedrock_spark.spark.errors import SPARK_ERRORS, chain_of

# Each loses to a writer that committed, so this many writers can finish at the same time.
_ATTEMPTS = 10
_FIRST_SECONDS, _MOST_SECONDS = 2.0, 60.0
# Classes of Delta Lake and of Iceberg; its ValidationException has other reasons, too.
_CONFLICT = re.compile(
    r"delta\.exceptions\.Concurrent\w+|DELTA_CONCURRENT_|iceberg\.exceptions\.CommitFailed"
    r"|ValidationException: Found (?:new )?conflicting|has been concurrently modified"
)

log = logging.getLogger(__name__)


def repeat_on_conflict(write: Callable[[], object], clock: Clock) -> None:
    """Call `write`, again after a pause if it lost to another writer, at most 10 times.

    write: is idempotent, or leaves nothing if it fails
    Raises the error of the last attempt, and every other error at once.
    """
    for attempt in range(_ATTEMPTS):
        try:
            write()
        except SPARK_ERRORS as exc:
            if not is_conflict(exc) or attempt == _ATTEMPTS - 1:
                raise
            pause = min(_MOST_SECONDS, _FIRST_SECONDS * 2**attempt)
            log.info("another writer changed the table of the results; again in %g s", pause)
            clock.sleep(pause)
        else:
            return


def is_conflict(exc: BaseException) -> bool:
    """Tell whether a write failed only because of another writer."""
    links = chain_of(exc)
    return any(_CONFLICT.search(f"{link.kind}: {link.message}") for link in links)
