"""Write the fallback's answers into the run folder, in Bedrock's own line format.

Answers are written after 100 records or 5 seconds, each time into a new object. If a task is
killed, at most its calls in flight and its unwritten answers are paid for again.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future

from bedrock_spark.clock import Clock
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage, calls_at_once

FLUSH_RECORDS = 100
FLUSH_SECONDS = 5.0


class AnswerFiles:
    """The answers of one task to records of several shards. Safe to use from many threads."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._lines: dict[str, list[bytes]] = {}
        self._gathered = 0
        self._flushed_at = clock.now()
        self._lock = threading.Lock()

    def add(self, shard_id: str, line: bytes) -> None:
        """Add a line; write all gathered lines if that is due."""
        with self._lock:
            self._lines.setdefault(shard_id, []).append(line)
            self._gathered += 1
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write all gathered lines after 100 records or 5 seconds."""
        waited = self._clock.now() - self._flushed_at
        if self._gathered >= FLUSH_RECORDS or waited >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write all gathered lines. If that fails, the next flush writes the rest."""
        with self._lock:
            to_write, self._lines = self._lines, {}
            self._gathered, self._flushed_at = 0, self._clock.now()
        writes: dict[str, Future[None]] = {}
        try:
            with calls_at_once(self._storage) as calls:
                for shard_id, lines in to_write.items():
                    writes[shard_id] = calls.begin(self._write, shard_id, lines)
        finally:
            done = {shard_id for shard_id, write in writes.items() if _is_done(write)}
            self._put_back({s: lines for s, lines in to_write.items() if s not in done})
        for write in writes.values():
            write.result()

    def _write(self, shard_id: str, lines: Sequence[bytes]) -> None:
        name = layout.fallback_part(self._clock.now(), uuid.uuid4().hex[:8])
        self._storage.write(layout.fallback_key(shard_id, name), b"".join(lines))

    def _put_back(self, unwritten: dict[str, list[bytes]]) -> None:
        with self._lock:
            for shard_id, lines in unwritten.items():
                self._lines[shard_id] = lines + self._lines.get(shard_id, [])
                self._gathered += len(lines)


def _is_done(write: Future[None]) -> bool:
    return write.done() and not write.cancelled() and write.exception() is None
