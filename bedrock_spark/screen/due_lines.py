"""Which progress becomes a line: the first and the last of a stage, and in between one a minute.

It knows nothing of how a line looks: lines for people and lines of JSON are due at the same times.
"""

from __future__ import annotations

from collections.abc import Callable

from bedrock_spark.progress import Pace, Progress

# One line in this time, unless a stage begins or ends.
LINE_SECONDS = 60.0


class DueLines:
    """Decides when the progress of a stage becomes a line.

    write: writes a line about a progress with its pace, at a time; `is_unchanged`: since the line
        before
    pace: of the stage
    written_at: when the last line was written, in seconds since the epoch
    """

    def __init__(self, write: Callable[[Progress, float, bool], None]) -> None:
        self.pace = Pace()
        self.written_at = 0.0
        self._write = write
        self._last: Progress | None = None
        self._written: Progress | None = None

    def observe(self, progress: Progress, now: float) -> None:
        """Take the progress of a stage at a time, in seconds since the epoch."""
        if self._last is None or progress.stage != self._last.stage:
            self._finish_stage(now)
            self.pace, self._written = Pace(changed_at=now), None
        self._last = progress
        self.pace.add(progress.done, now)
        has_ended = progress.is_done and not (self._written and self._written.is_done)
        has_changed = progress != self._written
        if self._written is None or has_ended or (has_changed and self._is_due(now)):
            self._put(progress, now)

    def tick(self, now: float) -> None:
        """Write a line if none was written for a minute. Call it every few seconds."""
        if self._last is not None and not self._last.is_done and self._is_due(now):
            self._put(self._last, now)

    def finish(self, now: float) -> None:
        """Write the last progress, if that has no line yet."""
        self._finish_stage(now)
        self._last = self._written = None

    def _finish_stage(self, now: float) -> None:
        if self._last is not None and self._last != self._written:
            self._put(self._last, now)

    def _is_due(self, now: float) -> bool:
        return now - self.written_at >= LINE_SECONDS

    def _put(self, progress: Progress, now: float) -> None:
        is_unchanged = progress == self._written
        self._written, self.written_at = progress, now
        self._write(progress, now, is_unchanged)
