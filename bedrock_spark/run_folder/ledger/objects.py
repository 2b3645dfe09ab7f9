"""The objects of a ledger: lines of JSON, and a last line with their checksum.

{"event": "end", "events": 3, "sha256": …, "writer": …}
"""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from bedrock_spark.run_folder.ledger.events import Event, RawEvent, decode_events

_encode = msgspec.json.Encoder().encode
_DAMAGED = "its checksum does not fit"


class DamagedObjectError(ValueError):
    """An object is torn or was changed. Only the ledger raises and catches it."""


def encode(events: Iterable[RawEvent | msgspec.Struct]) -> bytes:
    """Return the bytes of an object. Memory holds them once, and one event."""
    data, digest, count = io.BytesIO(), hashlib.sha256(), 0
    for event in events:
        count += 1
        line = _encode(event) + b"\n"
        digest.update(line)
        data.write(line)
    # A random writer id makes each object unique: two controllers may append equal events.
    writer = secrets.token_hex(8)
    end = {"event": "end", "events": count, "sha256": digest.hexdigest(), "writer": writer}
    data.write(_encode(end) + b"\n")
    return data.getvalue()


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


def lines_of(data: bytes) -> Iterator[bytes]:
    """Return the lines of an object, one after another: it may be large. Raises as `decode`."""
    left = _end_of_events(data)
    lines = io.BytesIO(data)  # of the same bytes: it copies none
    return iter(lambda: lines.readline() if lines.tell() < left else b"", b"")


def _array(data: bytes) -> bytes:
    """Return the events of an object as a JSON array."""
    # One call decodes all lines: the objects are many and small.
    return b"[" + data[: max(0, _end_of_events(data) - 1)].replace(b"\n", b",") + b"]"


def _end_of_events(data: bytes) -> int:
    """Return where the last line of an object begins. Raises as `decode`."""
    end = len(data.removesuffix(b"\n"))
    begin = data.rfind(b"\n", 0, end) + 1
    try:
        digest = hashlib.sha256(memoryview(data)[:begin]).hexdigest()
        if msgspec.json.decode(data[begin:end])["sha256"] != digest:
            raise DamagedObjectError(_DAMAGED)
    except (msgspec.DecodeError, KeyError, TypeError) as exc:
        raise DamagedObjectError(_DAMAGED) from exc
    return begin


def _raw(array: bytes) -> list[RawEvent]:
    try:
        events: list[RawEvent] = msgspec.json.decode(array)
    except msgspec.DecodeError as exc:
        raise DamagedObjectError(_DAMAGED) from exc
    if not all(isinstance(event, dict) and "event" in event for event in events):
        raise DamagedObjectError(_DAMAGED)
    return events
