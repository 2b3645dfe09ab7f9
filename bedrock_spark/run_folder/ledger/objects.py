"""The objects of a ledger: lines of JSON, and a last line with their checksum.

{"event": "end", "events": 3, "sha256": …, "writer": …}
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence

import msgspec

from bedrock_spark.run_folder.ledger.events import Event, RawEvent, decode_events

_DAMAGED = "its checksum does not fit"


class DamagedObjectError(ValueError):
    """An object is torn or was changed. Only the ledger raises and catches it."""


def encode(events: Iterable[RawEvent]) -> bytes:
    """Return the bytes of an object."""
    lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
    body = "".join(lines).encode()
    digest = hashlib.sha256(body).hexdigest()
    # A random writer id makes each object unique: two controllers may append equal events.
    writer = secrets.token_hex(8)
    end = {"event": "end", "events": len(lines), "sha256": digest, "writer": writer}
    return body + json.dumps(end).encode() + b"\n"


def decode(data: bytes) -> list[RawEvent]:
    """Return the events of an object. Raises DamagedObjectError if its checksum does not fit."""
    return _raw(_array(data))


def decode_known(data: bytes) -> Sequence[Event | RawEvent]:
    """Return the events of an object: as structs if this version knows all their members.

    Raises as `decode`.
    """
    array = _array(data)
    try:
        events = decode_events(array)
    except msgspec.DecodeError as exc:
        raise DamagedObjectError(_DAMAGED) from exc
    return _raw(array) if events is None else events


def _array(data: bytes) -> bytes:
    """Return the events of an object as a JSON array."""
    body, _, end = data.removesuffix(b"\n").rpartition(b"\n")
    body += b"\n"
    try:
        if msgspec.json.decode(end)["sha256"] != hashlib.sha256(body).hexdigest():
            raise DamagedObjectError(_DAMAGED)
    except (msgspec.DecodeError, KeyError, TypeError) as exc:
        raise DamagedObjectError(_DAMAGED) from exc
    # One call decodes all lines: the objects are many and small.
    return b"[" + body[:-1].replace(b"\n", b",") + b"]"


def _raw(array: bytes) -> list[RawEvent]:
    try:
        events: list[RawEvent] = msgspec.json.decode(array)
    except msgspec.DecodeError as exc:
        raise DamagedObjectError(_DAMAGED) from exc
    if not all(isinstance(event, dict) and "event" in event for event in events):
        raise DamagedObjectError(_DAMAGED)
    return events
