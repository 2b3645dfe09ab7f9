"""The ledger: append-only events in the run folder, from which the state of every job is replayed.

One object per append, numbered, created only if absent: of two drivers that append at once, one
loses and stops. The last line of an object is a checksum of the others. Nothing is ever rewritten.

    {"event": "submitting", "shard_id": …, "attempt": 1, "job_name": …, "token": …, "at": …}
    {"event": "submitted", "job_name": …, "job_arn": …, "at": …}
    {"event": "seen", "job_name": …, "job_arn": …, "status": …, "counts": […], …}
    {"event": "end", "events": 3, "sha256": …, "writer": …}
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from bedrock_spark import layout
from bedrock_spark.batch_jobs import JobPlan, SeenJob
from bedrock_spark.errors import AlreadyExistsError, RunFolderError
from bedrock_spark.storage import Storage

Event = Mapping[str, Any]
_READERS = 16


@dataclass(frozen=True)
class Job:
    """One attempt at one shard, as far as the ledger knows."""

    shard_id: str
    attempt: int
    job_name: str
    token: str
    seen: SeenJob | None = None

    @property
    def is_settled(self) -> bool:
        """Tell whether the batch job is over."""
        return self.seen is not None and self.seen.is_settled


def submitting(plan: JobPlan, now: float) -> Event:
    """Say that a job is about to be created: written before the call."""
    return {
        "event": "submitting",
        "shard_id": plan.shard_id,
        "attempt": plan.attempt,
        "job_name": plan.job_name,
        "token": plan.token,
        "at": now,
    }


def submitted(job_name: str, job_arn: str, now: float) -> Event:
    """Say that the service took a job."""
    return {"event": "submitted", "job_name": job_name, "job_arn": job_arn, "at": now}


def seen(job: SeenJob, now: float) -> Event:
    """Say what a listing shows of a job."""
    return {
        "event": "seen",
        "job_name": job.job_name,
        "job_arn": job.job_arn,
        "status": job.status,
        "message": job.message,
        "counts": [job.total, job.processed, job.succeeded, job.failed],
        "at": now,
    }


class Ledger:
    """The ledger of one run, open for reading and appending."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._next: int | None = None

    def replay(self) -> dict[str, Job]:
        """Return every job by name, as the events leave it. Raises RunFolderError if damaged."""
        keys = [o.key for o in self._storage.list(f"{layout.LEDGER}/")]
        with ThreadPoolExecutor(_READERS) as pool:
            objects = list(pool.map(self._storage.read, keys))
        jobs: dict[str, Job] = {}
        for key, data in zip(keys, objects, strict=True):
            for event in _decode(data, layout.join_uri(self._storage.uri, key)):
                _apply(event, jobs)
        self._next = _number(keys[-1]) + 1 if keys else 1
        return jobs

    def append(self, events: Iterable[Event]) -> None:
        """Write events as one object. Raises RunFolderError where another driver was faster."""
        listed = list(events)
        if not listed:
            return
        if self._next is None:
            self.replay()
        assert self._next is not None
        self._create(layout.ledger_key(self._next), _encode(listed))
        self._next += 1

    def _create(self, key: str, data: bytes) -> None:
        try:
            self._storage.create(key, data)
        except AlreadyExistsError as exc:
            # Where the reply to a put is lost, its repetition finds our own object there.
            if self._storage.read_if_present(key) == data:
                return
            raise RunFolderError(
                f"{self._storage.uri}: another process is driving this run; let it, or stop it "
                "and run again"
            ) from exc


def _number(key: str) -> int:
    return int(key.rsplit("/", 1)[-1].removesuffix(".jsonl"))


def _encode(events: list[Event]) -> bytes:
    lines = "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in events).encode()
    digest = hashlib.sha256(lines).hexdigest()
    # The writer makes an object unlike any that another driver writes, even of the same events.
    writer = secrets.token_hex(8)
    end = {"event": "end", "events": len(events), "sha256": digest, "writer": writer}
    return lines + json.dumps(end).encode() + b"\n"


def _decode(data: bytes, where: str) -> list[Event]:
    body, _, end = data.removesuffix(b"\n").rpartition(b"\n")
    body += b"\n"
    try:
        checked = json.loads(end)["sha256"] == hashlib.sha256(body).hexdigest()
        events: list[Event] = [json.loads(line) for line in body[:-1].split(b"\n")]
    except (ValueError, KeyError, TypeError):
        checked = False
    if not checked:
        raise RunFolderError(f"{where}: its checksum does not fit; the ledger is damaged")
    return events


def _apply(event: Event, jobs: dict[str, Job]) -> None:
    """Apply one event. Kinds that a newer version writes are passed over."""
    name = event.get("job_name", "")
    if event["event"] == "submitting":
        jobs.setdefault(name, Job(event["shard_id"], event["attempt"], name, event["token"]))
    elif event["event"] == "submitted" and name in jobs and jobs[name].seen is None:
        found = SeenJob(event["job_arn"], name, jobs[name].token, "Submitted")
        jobs[name] = replace(jobs[name], seen=found)
    elif event["event"] == "seen" and name in jobs:
        counts = event["counts"]
        found = SeenJob(
            event["job_arn"], name, jobs[name].token, event["status"], event["message"], *counts
        )
        jobs[name] = replace(jobs[name], seen=found)
