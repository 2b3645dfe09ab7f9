"""Fallback answers on their way into the run folder, in Bedrock's own line format.

They are written every few seconds or records, in objects that are never written twice: a task that
is killed pays again for at most what it had in flight and what came within those few seconds.
"""

from __future__ import annotations

import threading
import uuid

from bedrock_spark.clock import Clock
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

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
        """Take a line; write what has gathered when it is time."""
        with self._lock:
            self._lines.setdefault(shard_id, []).append(line)
            self._gathered += 1
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write what has gathered when it is time."""
        waited = self._clock.now() - self._flushed_at
        if self._gathered >= FLUSH_RECORDS or waited >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered. What cannot be written is kept for the next time."""
        with self._lock:
            taken, self._lines = self._lines, {}
            self._gathered, self._flushed_at = 0, self._clock.now()
        while taken:
            shard_id, lines = taken.popitem()
            part = f"{int(self._clock.now() * 1000):015d}-{uuid.uuid4().hex[:8]}"
            try:
                self._storage.write(layout.fallback_key(shard_id, part), b"".join(lines))
            except BaseException:
                self._put_back({**taken, shard_id: lines})
                raise

    def _put_back(self, taken: dict[str, list[bytes]]) -> None:
        with self._lock:
            for shard_id, lines in taken.items():
                self._lines[shard_id] = lines + self._lines.get(shard_id, [])
                self._gathered += len(lines)
