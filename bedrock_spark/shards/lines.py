"""The lines of a shard: the bytes around the record id and the body, and how a line is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

    def as_line(self) -> bytes:
        """Return the line, with its line break."""
        return b"".join((HEAD, self.recordId.encode(), MIDDLE, self.body, END))

    def with_limit(self, path: Sequence[str], tokens: int) -> ShardLine:
        """Return the same record with another limit of tokens; see `with_limit`."""
        return ShardLine(self.recordId, msgspec.Raw(with_limit(self.body, path, tokens)))


def with_limit(body: bytes, path: Sequence[str], tokens: int) -> bytes:
    """Return a body whose limit of tokens is another one; every other value keeps its bytes.

    path: the keys that lead to the limit
    Raises KeyError or msgspec.MsgspecError if the body has no limit there.
    """
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    first, *rest = path
    value = bytes(members[first])
    inner = with_limit(value, rest, tokens) if rest else b"%d" % tokens
    return msgspec.json.encode({**members, first: msgspec.Raw(inner)})


_DECODER = msgspec.json.Decoder(ShardLine)


def read_line(line: bytes) -> ShardLine:
    """Return the record in one line."""
    return _DECODER.decode(line)


def read_shard(data: bytes) -> Iterator[ShardLine]:
    """Yield the records of a shard, or of its first lines. `data` holds whole lines only."""
    for line in data.split(b"\n"):
        if line:
            yield read_line(line)
