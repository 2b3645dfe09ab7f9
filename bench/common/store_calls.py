"""Note every call to a store, with its time and its thread: which calls are waited for in turn?

A file takes the notes, because tasks of Spark call from processes of their own.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class StoreCall:
    """A call to a store. start, seconds: when it began, and how long it took."""

    start: float
    seconds: float
    process: int
    thread: str
    operation: str
    key: str


class NotedStorage:
    """A storage that notes its calls in a file. It can be pickled, as the storage that it wraps."""

    def __init__(self, storage: Storage, notes: Path) -> None:
        self.uri = storage.uri
        self._storage = storage
        self._notes = notes

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        return self._noted(name, method) if callable(method) else method

    def scan(self, prefix: str) -> Iterator[Any]:
        """Note a listing when its first page is here."""
        return self._listed(self._storage.scan(prefix), prefix)

    def _listed(self, listing: Iterator[Any], prefix: str) -> Iterator[Any]:
        first = self._noted("scan", lambda _: next(listing, None))(prefix)
        if first is not None:
            yield first
            yield from listing

    def _noted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.time()
            try:
                return method(*arguments)
            finally:
                key = next((each for each in arguments if isinstance(each, str)), "")
                thread = threading.current_thread().name
                seconds = time.time() - start
                note = [start, seconds, os.getpid(), thread, name, key]
                with self._notes.open("a") as file:
                    file.write(json.dumps(note) + "\n")

        return call


def read_calls(notes: Path) -> list[StoreCall]:
    """Return the calls that were noted, by their start."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return sorted((StoreCall(*json.loads(line)) for line in lines), key=lambda call: call.start)


def show_calls(stage: str, calls: Sequence[StoreCall]) -> Iterator[str]:
    """Yield a line for each call. A call that began after all others ended is marked by a star."""
    start, end = calls[0].start if calls else 0.0, 0.0
    waits = 0
    for call in calls:
        is_waited_for = call.start >= end
        waits += is_waited_for
        if is_waited_for:
            end = call.start + call.seconds
        star = "*" if is_waited_for else " "
        yield (
            f"{call.start - start:8.3f} s {call.seconds * 1e3:5.0f} ms {star} "
            f"{call.process:7d} {call.thread[:20]:20} {call.operation:16} {call.key}"
        )
    yield f"{stage}: {len(calls)} calls, {waits} one after another"
