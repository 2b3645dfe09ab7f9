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

from bedrock_spark.progress import Progress
from bedrock_spark.screen.due_lines import DueLines


class JsonLines:
    """Writes progress as JSON, at the times at which `ProgressLines` writes it for people.

    write: gets each line, without a line break
    run_uri: of the run, once it is known
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self.run_uri: str | None = None
        self._write = write
        self._due = DueLines(self._put_progress)
        self.observe, self.tick, self.finish = self._due.observe, self._due.tick, self._due.finish

    def say(self, text: str, now: float) -> None:
        """Write a line that is about no stage."""
        self.event("info", "note", text, now)

    def event(
        self, level: str, event: str, message: str, now: float, topic: str | None = None
    ) -> None:
        """Write a line with a message. topic: of an error, in docs/errors.md."""
        values = {"at": _iso(now), "level": level, "event": event, "message": message}
        self._put(values | ({"topic": topic} if topic is not None else {}))

    def _put_progress(self, progress: Progress, now: float, _is_unchanged: bool) -> None:
        pace = self._due.pace
        rate, left = pace.per_second, pace.seconds_left(progress.total)
        self._put(
            {
                "at": _iso(now),
                "level": "info",
                "event": "progress",
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
                "unit": progress.unit,
                "per_second": None if rate is None else round(rate, 3),
                "seconds_left": None if left is None else round(left),
                "unchanged_seconds": round(now - pace.changed_at),
                "detail": progress.detail,
                "waits_for": progress.waits_for,
                "counts": None if progress.counts is None else asdict(progress.counts),
                "calls": None if progress.calls is None else asdict(progress.calls),
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
