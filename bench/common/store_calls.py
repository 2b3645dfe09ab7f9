"""Note every request to S3, with its time and its thread: which of them are waited for in turn?

A file takes the notes, because tasks of Spark call from processes of their own.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedrock_spark.storage.s3 import S3Storage

# The threads whose requests run while their process goes on: nobody waits for one alone.
_BEHIND = ("upload-behind", "read-ahead", "list-ahead", "counting the", "renewing the")
_PART = "UploadPart"


@dataclass(frozen=True)
class StoreCall:
    """A request to S3. start, seconds: when it began, and how long it took."""

    start: float
    seconds: float
    process: int
    thread: str
    operation: str
    key: str

    @property
    def end(self) -> float:
        """Return when it ended."""
        return self.start + self.seconds


class NotedStorage(S3Storage):
    """A run folder in S3 whose client notes its requests in a file, in every process that has it.

    It takes the place of a storage: see `noted`.
    """

    notes: Path

    @property
    def _client(self) -> Any:
        client = super()._client
        if not hasattr(client, "noted_requests"):
            client.noted_requests = True  # type: ignore[attr-defined]
            _note_requests(client, self.notes)
        return client


def noted(storage: S3Storage, notes: Path) -> NotedStorage:
    """Return a storage of the same folder that notes its requests in a file."""
    made = NotedStorage(storage.uri, storage.aws)
    made.notes = notes
    return made


def _note_requests(client: Any, notes: Path) -> None:
    """Append a line to a file for each request of a client, once its reply has begun."""
    begun = threading.local()

    def begin(**_: Any) -> None:
        begun.at = time.time()

    def name(params: Any, model: Any, **_: Any) -> None:
        begun.key = params["url_path"].partition("?")[0]
        begun.operation = model.name

    def end(**_: Any) -> None:
        thread = threading.current_thread().name
        at = begun.at
        note = [at, time.time() - at, os.getpid(), thread, begun.operation, begun.key]
        with notes.open("a") as file:
            file.write(json.dumps(note) + "\n")

    client.meta.events.register_last("before-call.s3", name)
    client.meta.events.register_last("before-send.s3", begin)
    client.meta.events.register_first("response-received.s3", end)


def read_calls(notes: Path) -> list[StoreCall]:
    """Return the requests that were noted, by their start."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return sorted((StoreCall(*json.loads(line)) for line in lines), key=lambda call: call.start)


def waits(calls: Sequence[StoreCall]) -> list[StoreCall]:
    """Return the longest row of requests each of which began after the one before had ended.

    Requests that run behind do not count, but for the last part of each object: its commit waits
    for it. A stage waits at most so often for the latency of the store.
    """
    last_parts = {call.key: call for call in calls if call.operation == _PART}
    counted = [
        call
        for call in calls
        if not call.thread.startswith(_BEHIND) or last_parts.get(call.key) is call
    ]
    row: list[StoreCall] = []
    for call in sorted(counted, key=lambda call: call.end):
        if not row or call.start >= row[-1].end:
            row.append(call)
    return row


def show_calls(stage: str, calls: Sequence[StoreCall]) -> Iterator[str]:
    """Yield a line for each request; those of `waits` are marked by a star."""
    start = calls[0].start if calls else 0.0
    row = waits(calls)
    in_row = {id(call) for call in row}
    for call in calls:
        star = "*" if id(call) in in_row else " "
        yield (
            f"{call.start - start:8.3f} s {call.seconds * 1e3:5.0f} ms {star} "
            f"{call.process:7d} {call.thread[:20]:20} {call.operation:24} {call.key}"
        )
    yield f"{stage}: {len(calls)} requests, {len(row)} one after another"
