"""What Spark's Java process prints: held back while it starts, then passed on to stderr.

While Java starts, it prints warnings that need no action, and the whole report of the packages that
it resolved. They are shown only if it does not start, as part of the error.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from typing import BinaryIO

_MOST_LINES = 2_000
_JOIN_SECONDS = 5.0


class JavaOutput:
    """A pipe that a Java process writes into. A thread reads it until all writers are gone."""

    def __init__(self) -> None:
        reads, writer = os.pipe()
        self._writer: int | None = writer
        self._held: deque[str] | None = deque(maxlen=_MOST_LINES)
        self._is_muted = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._read, args=(os.fdopen(reads, "rb"),), name="java-output", daemon=True
        )
        self._thread.start()

    def close_writer(self) -> None:
        """Close this process's end for writing: the child has its own."""
        writer, self._writer = self._writer, None
        if writer is not None:
            os.close(writer)

    @property
    def writer(self) -> int:
        """The file descriptor that the child writes into."""
        assert self._writer is not None, "the writer is closed"
        return self._writer

    def pass_on(self) -> None:
        """Java has started: drop what it printed so far, and show what comes."""
        with self._lock:
            self._held = None

    def mute(self) -> None:
        """Show nothing more: Java is being ended, and complains."""
        self._is_muted = True

    def held(self) -> list[str]:
        """Return the lines that were held back. Waits a moment for those still on their way."""
        self._thread.join(_JOIN_SECONDS)
        with self._lock:
            return list(self._held or ())

    def _read(self, stream: BinaryIO) -> None:
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                with self._lock:
                    if self._held is not None:
                        self._held.append(line)
                        continue
                if not self._is_muted:
                    print(line, file=sys.stderr, flush=True)  # noqa: T201 - it is Java's own output
