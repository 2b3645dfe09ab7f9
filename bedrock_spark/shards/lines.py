"""The lines of a shard: the bytes around the record id and the body, and how a line is decoded."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

# A line is HEAD, the record id, MIDDLE, the body, END.
HEAD, MIDDLE, END = b'{"recordId":"', b'","modelInput":', b"}\n"
FRAME_BYTES = len(HEAD + MIDDLE + END)


class ShardLine(msgspec.Struct):
    """One record: its id, and the body that is the model's input, byte for byte."""

    recordId: str  # noqa: N815 - the wire's name
    modelInput: msgspec.Raw  # noqa: N815

    @property
    def body(self) -> bytes:
        """Return the body, byte for byte as it is in the line."""
        return bytes(self.modelInput)

    @property
    def line_bytes(self) -> int:
        """Return the bytes of the record's line in its shard, the line break included."""
        return FRAME_BYTES + len(self.recordId) + len(self.body)


_DECODER = msgspec.json.Decoder(ShardLine)


def read_line(line: bytes) -> ShardLine:
    """Return the record in one line."""
    return _DECODER.decode(line)


def read_shard(data: bytes) -> Iterator[ShardLine]:
    """Yield the records of a shard, or of its first lines. `data` holds whole lines only."""
    for line in data.split(b"\n"):
        if line:
            yield read_line(line)
