"""The objects of a ledger: lines of JSON, and a last line with their checksum.

{"event": "end", "events": 3, "sha256": …, "writer": …}
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable

import msgspec

from bedrock_spark.run_folder.ledger.events import Event

_DAMAGED = "its checksum does not fit"


class DamagedObjectError(ValueError):
    """An object is torn or changed. Raised and caught in the ledger alone."""


def encode(events: Iterable[Event]) -> bytes:
    """Return the bytes of an object."""
    lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
    body = "".join(lines).encode()
    digest = hashlib.sha256(body).hexdigest()
    # The writer makes an object unlike any that another driver writes, even of the same events.
    writer = secrets.token_hex(8)
    end = {"event": "end", "events": len(lines), "sha256": digest, "writer": writer}
    return body + json.dumps(end).encode() + b"\n"


def decode(data: bytes) -> list[Event]:
    """Return the events of an object. Raises DamagedObjectError where it is not whole."""
    body, _, end = data.removesuffix(b"\n").rpartition(b"\n")
    body += b"\n"
    try:
        if msgspec.json.decode(end)["sha256"] != hashlib.sha256(body).hexdigest():
            raise DamagedObjectError(_DAMAGED)
        # One call for all lines: the objects are many and small.
        events: list[Event] = msgspec.json.decode(b"[" + body[:-1].replace(b"\n", b",") + b"]")
    except (msgspec.DecodeError, KeyError, TypeError) as exc:
        raise DamagedObjectError(_DAMAGED) from exc
    if not all(isinstance(event, dict) and "event" in event for event in events):
        raise DamagedObjectError(_DAMAGED)
    return events
