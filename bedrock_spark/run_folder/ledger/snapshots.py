"""Snapshots of a ledger: its state after an object, so that a long ledger is not read from 1 again.

A snapshot says nothing that the ledger does not: it is written once, beside it, and one that is
missing or damaged only costs time. A ledger that a newer version wrote into gets none from an older
one, which would leave out what it does not know.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.errors import StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger.events import Event, ExtraAttempt
from bedrock_spark.run_folder.ledger.objects import DamagedObjectError, decode, encode
from bedrock_spark.run_folder.ledger.state import Hold, Job, LedgerState
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

EVERY = 500
_FORMAT = 1


def write_snapshot(storage: Storage, number: int, state: LedgerState) -> None:
    """Put down the state after the object with this number, unless somebody did."""
    if state.newer:
        return
    try:
        storage.create(layout.snapshot_key(number), encode(_events(state)))
    except StorageError as exc:
        log.info("no snapshot: %s", exc)  # most likely it is there already


def read_newest_snapshot(storage: Storage, number: int) -> tuple[int, LedgerState]:
    """Return the newest state that can be read, at most of this object; (0, empty) without one."""
    for key in sorted((o.key for o in storage.list(f"{layout.SNAPSHOTS}/")), reverse=True):
        found = layout.sequence_of(key)
        if found > number:
            continue
        try:
            state = _state(decode(storage.read(key)))
        except (DamagedObjectError, KeyError, TypeError):  # or of a newer version
            continue
        if state is not None:
            return found, state
    return 0, LedgerState()


def _events(state: LedgerState) -> Iterator[Event]:
    yield {
        "event": "state",
        "format": _FORMAT,
        "finished": state.finished,
        "again": {shard: asdict(repeat) for shard, repeat in state.again.items()},
        "hold": asdict(state.hold) if state.hold else None,
        "floors": state.floors,
        "slots": state.slots,
        "swept_at": state.swept_at,
        "late": state.late,
        "findings": state.findings,
    }
    for job in state.jobs.values():
        yield {"event": "job", **asdict(job)}


def _state(events: list[Event]) -> LedgerState | None:
    """Return the state, or None where another version wrote it in another format."""
    if not events or events[0].get("format") != _FORMAT:
        return None
    head = dict(events[0])
    hold = head.pop("hold")
    for name in ("event", "format"):
        head.pop(name)
    again = {shard: ExtraAttempt(**repeat) for shard, repeat in head.pop("again", {}).items()}
    state = LedgerState(**head, again=again, hold=Hold(**hold) if hold else None)
    for event in events[1:]:
        job = _job(dict(event))
        state.jobs[job.job_name] = job
    return state


def _job(values: dict[str, Any]) -> Job:
    values.pop("event")
    seen, tokens = values.pop("seen"), values.pop("tokens")
    job = Job(**values)
    return replace(
        job,
        seen=SeenJob(**seen) if seen else None,
        tokens=(tokens[0], tokens[1]) if tokens else None,
    )
