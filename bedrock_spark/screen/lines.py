"""Progress as lines of a log: each begins with its time, and silence never lasts long.

A line is written when a stage begins and when it ends, and in between once a minute. If nothing
has changed, it says what is waited for and since when, so that a wait does not look like a hang.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bedrock_spark.progress import Pace, Progress
from bedrock_spark.screen.text import counted, money_text, paced, slots_text, time_left

# One line in this time, unless a stage begins or ends.
LINE_SECONDS = 60.0


class ProgressLines:
    """Decides which progress becomes a line, and writes it.

    write: gets each line, without a line break
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._pace = Pace()
        self._last: Progress | None = None
        self._written: Progress | None = None
        self._written_at = 0.0
        self._day: tuple[int, int] | None = None

    def observe(self, progress: Progress, now: float) -> None:
        """Take the progress of a stage at a time, in seconds since the epoch."""
        if self._last is None or progress.stage != self._last.stage:
            self._finish_stage(now)
            self._pace, self._written = Pace(changed_at=now), None
        self._last = progress
        self._pace.add(progress.done, now)
        is_due = now - self._written_at >= LINE_SECONDS
        has_ended = progress.is_done and not (self._written and self._written.is_done)
        if self._written is None or has_ended or (progress != self._written and is_due):
            self._line(now)

    def tick(self, now: float) -> None:
        """Write a line if none was written for a minute. Call it every few seconds."""
        last = self._last
        if last is None or last.is_done or now - self._written_at < LINE_SECONDS:
            return
        if last != self._written:
            self._line(now)
            return
        waits_for = f" for {last.waits_for}" if last.waits_for else ""
        since = self._pace.changed_at
        waited = time_left(now - since)
        self._line(now, f"no change since {_clock_time(since)} ({waited}), waits{waits_for}")

    def say(self, text: str, now: float) -> None:
        """Write a line that is about no stage."""
        self._put(text, now)

    def finish(self, now: float) -> None:
        """Write the last progress, if that has no line yet."""
        self._finish_stage(now)
        self._last = self._written = None

    def _finish_stage(self, now: float) -> None:
        if self._last is not None and self._last != self._written:
            self._line(now)

    def _line(self, now: float, note: str = "") -> None:
        assert self._last is not None
        count, pace = counted(self._last), paced(self._last, self._pace)
        numbers = ", ".join(filter(None, (count, "" if note else pace)))
        counts = self._last.counts
        parts = (numbers, self._last.detail, slots_text(counts), money_text(counts), note)
        text = "; ".join(filter(None, parts))
        self._written = self._last
        self._put(f"{self._last.stage:9} {text or 'begins'}", now)

    def _put(self, text: str, now: float) -> None:
        local = time.localtime(now)
        day = (local.tm_year, local.tm_yday)
        # The date, too, if it is not that of the line before. The first line is of today.
        date = time.strftime("%Y-%m-%d ", local) if self._day not in (None, day) else ""
        self._day, self._written_at = day, now
        self._write(f"{date}{_clock_time(now)} {text}".rstrip())


def _clock_time(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
