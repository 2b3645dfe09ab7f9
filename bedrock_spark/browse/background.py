"""Work in the background of a process that shows its result again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bedrock_spark.clock import Clock
from bedrock_spark.errors import BedrockSparkError


class BackgroundTask:
    """Work in a thread of its own, which is done again if its last end is too long ago."""

    def __init__(self, name: str, work: Callable[[], None], clock: Clock, seconds: float) -> None:
        self._name = name
        self._work = work
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._done_at: float | None = None
        self.problem: str | None = None

    def wait(self, seconds: float) -> bool:
        """Begin the work if it is due, and wait for it. Return whether it was ever done.

        seconds: the longest wait
        """
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = self._begun() if self._is_due() else None
            thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._done_at is not None

    def _begun(self) -> threading.Thread:
        name = f"index of {self._name}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        thread.start()
        return thread

    def _is_due(self) -> bool:
        done_at = self._done_at
        return done_at is None or not 0 <= self._clock.now() - done_at < self._seconds

    def _run(self) -> None:
        try:
            self._work()
        except BedrockSparkError as exc:
            self.problem = str(exc)
        else:
            self.problem = None
            self._done_at = self._clock.now()
