"""Progress as lines of a log: each begins with its time, and silence never lasts long.

A line is written when a stage begins and when it ends, and in between once a minute. If nothing
has changed, it says what is waited for and since when, so that a wait does not look like a hang.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bedrock_spark.progress import Progress
from bedrock_spark.screen.due_lines import DueLines
from bedrock_spark.screen.text import counted, limits_text, money_text, paced, slots_text, time_left


class ProgressLines:
    """Writes progress as lines for people.

    write: gets each line, without a line break
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._due = DueLines(self._put_progress)
        self._day: tuple[int, int] | None = None
        self.observe, self.tick, self.finish = self._due.observe, self._due.tick, self._due.finish

    def say(self, text: str, now: float) -> None:
        """Write a line that is about no stage."""
        self._due.written_at = now  # it ends a silence, too
        self._put(text, now)

    def _put_progress(self, progress: Progress, now: float, is_unchanged: bool) -> None:
        pace, note = self._due.pace, ""
        if is_unchanged:
            since, waits_for = pace.changed_at, progress.waits_for
            note = f"no change since {_clock_time(since)} ({time_left(now - since)}), waits"
            note += f" for {waits_for}" if waits_for else ""
        count = counted(progress)
        numbers = ", ".join(filter(None, (count, "" if note else paced(progress, pace))))
        facts = slots_text(progress.counts), limits_text(progress.calls)
        money = money_text(progress.counts or progress.calls)
        parts = (numbers, progress.detail, *facts, money, note)
        text = "; ".join(filter(None, parts))
        self._put(f"{progress.stage:9} {text or 'begins'}", now)

    def _put(self, text: str, now: float) -> None:
        local = time.localtime(now)
        day = (local.tm_year, local.tm_yday)
        # The date, too, if it is not that of the line before. The first line is of today.
        date = time.strftime("%Y-%m-%d ", local) if self._day not in (None, day) else ""
        self._day = day
        self._write(f"{date}{_clock_time(now)} {text}".rstrip())


def _clock_time(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
