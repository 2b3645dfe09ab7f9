"""Amazon's event stream encoding, the wire format of streamed answers.

A message is a prelude (the lengths of the message and of its headers, and their CRC-32), headers,
a payload and a CRC-32 of everything before it. https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from botocore.model import StructureShape

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.wire.serialization import as_json, dump

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7  # the type number of a string header
_FRAME_BYTES = 16  # prelude 12, checksum of the message 4


def encode_event(stream: StructureShape, name: str, value: dict[str, Any]) -> bytes:
    """Return the message of one event. Its payload is `value` as JSON in the event's shape."""
    headers = {
        ":event-type": name,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return _message(headers, dump(as_json(value, stream.members[name])))


def encode_exception(error: ServiceError) -> bytes:
    """Return the message that ends a stream with an error of the service."""
    headers = {
        ":exception-type": error.code[0].lower() + error.code[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return _message(headers, dump({"message": error.message, **error.fields}))


def _message(headers: dict[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", _FRAME_BYTES + len(head) + len(payload), len(head))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text
