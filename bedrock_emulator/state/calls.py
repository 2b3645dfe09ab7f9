"""The newest calls of Bedrock's operations, for tests that look at what was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

# The oldest calls are forgotten when there are more, or when their bodies are larger together.
_MOST_CALLS = 10_000
_MOST_BYTES = 64 * 1024 * 1024


@dataclass
class Call:
    """One call, as it came: it may be one that was refused.

    path: the parameters in the path, by name; error: its code, None if there was none
    """

    time: float
    operation: str
    region: str
    path: dict[str, str]
    query: str
    body: bytes
    error: str | None = None

    def as_json(self, number: int) -> dict[str, Any]:
        """Return the call as the endpoint shows it. number: among all calls, from 1"""
        return {
            "number": number,
            "time": self.time,
            "operation": self.operation,
            "region": self.region,
            "parameters": {**self.path, **{k: v[-1] for k, v in parse_qs(self.query).items()}},
            "body": _decoded(self.body),
            "error": self.error,
        }


class Calls:
    """The history of calls. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._forgotten = self._bytes = 0

    def add(self, call: Call) -> None:
        """Add a call. Its error may be noted later."""
        with self._lock:
            self._calls.append(call)
            self._bytes += len(call.body)
            while len(self._calls) > _MOST_CALLS or self._bytes > _MOST_BYTES:
                self._bytes -= len(self._calls.popleft().body)
                self._forgotten += 1

    def report(self) -> dict[str, Any]:
        """Return the calls, the oldest first, and how many older ones were forgotten."""
        with self._lock:
            forgotten, calls = self._forgotten, list(self._calls)
        numbered = [call.as_json(number) for number, call in enumerate(calls, start=forgotten + 1)]
        return {"calls": numbered, "forgotten": forgotten}


def _decoded(body: bytes) -> Any:
    """Return a body as JSON, or else as text; None if there is none."""
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
