"""Progress, notes and log records as JSON: one object a line, for a log that programs read.

Each has `at` (UTC), `level`, `event` (progress, note, warning, error, log, end) and, once it is
known, `run_uri`. A progress has the facts of the lines for people as numbers.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bedrock_spark.progress import Pace, Progress
from bedrock_spark.screen.lines import LINE_SECONDS


class JsonLines:
    """Decides which progress becomes a line, as `ProgressLines` does, and writes it as JSON.

    write: gets each line, without a line break
    run_uri: of the run, once it is known
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self.run_uri: str | None = None
        self._write = write
        self._pace = Pace()
        self._last: Progress | None = None
        self._written: Progress | None = None
        self._written_at = 0.0

    def observe(self, progress: Progress, now: float) -> None:
        """Take the progress of a stage at a time, in seconds since the epoch."""
        if self._last is None or progress.stage != self._last.stage:
            self._finish_stage(now)
            self._pace, self._written = Pace(changed_at=now), None
        self._last = progress
        self._pace.add(progress.done, now)
        is_due = now - self._written_at >= LINE_SECONDS
        has_ended = progress.is_done and not (self._written and self._written.is_done)
        if self._written is None or has_ended or is_due:
            self._put_progress(now)

    def tick(self, now: float) -> None:
        """Write a line if none was written for a minute. Call it every few seconds."""
        last = self._last
        if last is not None and not last.is_done and now - self._written_at >= LINE_SECONDS:
            self._put_progress(now)

    def say(self, text: str, now: float) -> None:
        """Write a line that is about no stage."""
        self.event("info", "note", text, now)

    def event(
        self, level: str, event: str, message: str, now: float, topic: str | None = None
    ) -> None:
        """Write a line with a message. topic: of an error, in docs/errors.md."""
        values = {"at": _iso(now), "level": level, "event": event, "message": message}
        self._put(values | ({"topic": topic} if topic is not None else {}))

    def finish(self, now: float) -> None:
        """Write the last progress, if that has no line yet."""
        self._finish_stage(now)
        self._last = self._written = None

    def _finish_stage(self, now: float) -> None:
        if self._last is not None and self._last != self._written:
            self._put_progress(now)

    def _put_progress(self, now: float) -> None:
        assert self._last is not None
        last, self._written, self._written_at = self._last, self._last, now
        rate, left = self._pace.per_second, self._pace.seconds_left(last.total)
        self._put(
            {
                "at": _iso(now),
                "level": "info",
                "event": "progress",
                "stage": last.stage,
                "done": last.done,
                "total": last.total,
                "unit": last.unit,
                "per_second": None if rate is None else round(rate, 3),
                "seconds_left": None if left is None else round(left),
                "unchanged_seconds": round(now - self._pace.changed_at),
                "detail": last.detail,
                "waits_for": last.waits_for,
                "counts": None if last.counts is None else asdict(last.counts),
            }
        )

    def _put(self, values: dict[str, Any]) -> None:
        if self.run_uri is not None:
            values["run_uri"] = self.run_uri
        self._write(json.dumps(values, ensure_ascii=False))


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON; the stack of an exception is a key of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        values = {
            "at": _iso(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            values["stack"] = self.formatException(record.exc_info)
        return json.dumps(values, ensure_ascii=False)


def _iso(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
