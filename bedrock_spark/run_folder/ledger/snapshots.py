"""Snapshots of a ledger: checkpoints of its state, so that replaying a long ledger is quick.

A snapshot holds nothing that the ledger does not: a missing or damaged one only costs time. A
version that finds events of a newer version in the ledger writes no snapshot, because it would
leave out what it does not know.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import asdict
from sys import intern
from typing import Any

import msgspec
from msgspec import structs

from bedrock_spark.errors import StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import place_of
from bedrock_spark.run_folder.ledger.events import Duplicate, ExtraAttempt, RawEvent, as_json
from bedrock_spark.run_folder.ledger.objects import DamagedObjectError, encode, lines_of
from bedrock_spark.run_folder.ledger.state import Hold, Job, LedgerState
from bedrock_spark.run_folder.ledger.streak import Streak
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# The fewest ledger objects between two snapshots.
EVERY = 500
_FORMAT = 2
_NAME = re.compile(rf"{layout.SNAPSHOTS}/\d{{9,}}\.jsonl")


def is_due(objects: int, events: int, state: LedgerState) -> bool:
    """Tell whether a snapshot is worth its bytes.

    A snapshot has every job. If only the number of objects counted, all snapshots together would
    have a number of jobs that grows with the square of the run. So between two snapshots there are
    also half as many events as jobs: together, they have a few times the jobs of the run.

    objects, events: those since the last snapshot
    """
    return objects >= EVERY and 2 * events >= len(state.jobs)


def write_snapshot(storage: Storage, number: int, state: LedgerState) -> None:
    """Write the state after the object with this number, unless another process has written it."""
    if state.newer:
        return
    try:
        storage.create(layout.snapshot_key(number), encode(_as_events(state)))
    except StorageError as exc:
        log.info("no snapshot: %s", exc)  # most likely it exists already


def read_newest_snapshot(storage: Storage) -> tuple[int, LedgerState]:
    """Return the newest readable state, with the number of the ledger object that it is of.

    Returns (0, an empty state) if there is none.
    """
    keys = (o.key for o in storage.list(f"{layout.SNAPSHOTS}/"))
    for key in sorted(filter(_NAME.fullmatch, keys), key=layout.sequence_of, reverse=True):
        snapshot = layout.sequence_of(key)
        try:
            state = _state(lines_of(storage.read(key)))
        except (DamagedObjectError, KeyError, TypeError, msgspec.DecodeError):
            # It is damaged, or of a newer version.
            continue
        if state is not None:
            return snapshot, state
    return 0, LedgerState()


class _JobLine(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="job"):
    """The line of a job."""

    job: Job


_JOB = msgspec.json.Decoder(_JobLine)


def _as_events(state: LedgerState) -> Iterator[RawEvent | _JobLine]:
    extra_attempts = state.extra_attempts.items()
    yield {
        "event": "state",
        "format": _FORMAT,
        "finished": state.finished,
        "again": {shard_id: msgspec.to_builtins(extra) for shard_id, extra in extra_attempts},
        "duplicates": [as_json(duplicate) for duplicate in state.duplicates.values()],
        "hold": asdict(state.hold) if state.hold else None,
        "streak": asdict(state.streak),
        "floors": state.floors,
        "slots": state.slots,
        "swept_at": state.swept_at,
        "late": state.late,
        "findings": state.findings,
    }
    for job in state.jobs.values():
        yield _JobLine(job)


def _state(lines: Iterator[bytes]) -> LedgerState | None:
    """Return the state, or None if another version wrote it in another format."""
    head: dict[str, Any] = msgspec.json.decode(next(lines, b"{}"))
    if head.get("format") != _FORMAT:
        return None
    hold, streak = head.pop("hold"), Streak(**head.pop("streak", {}))
    for name in ("event", "format"):
        head.pop(name)
    duplicates = msgspec.convert(head.pop("duplicates", []), list[Duplicate])
    extra = {shard_id: ExtraAttempt(**values) for shard_id, values in head.pop("again", {}).items()}
    state = LedgerState(
        **head,
        extra_attempts=extra,
        duplicates={duplicate.job_arn: duplicate for duplicate in duplicates},
        hold=Hold(**hold) if hold else None,
        streak=streak,
    )
    for line in lines:
        job = _JOB.decode(line).job
        _share(job)
        state.jobs[job.job_name] = job
    return state


def _share(job: Job) -> None:
    """Let a job that was just decoded share with other jobs what many of them have."""
    if job.place is not None:
        place = job.place
        structs.force_setattr(job, "place", place_of(place.region, place.model_id, place.folder))
    if job.seen is not None:
        structs.force_setattr(job.seen, "status", intern(job.seen.status))
