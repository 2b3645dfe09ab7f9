"""The lines of a shard: what Bedrock reads, read back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class ShardLine(msgspec.Struct):
    """One record: its id, and the body that is the model's input, byte for byte."""

    recordId: str  # noqa: N815 - the wire's name
    modelInput: msgspec.Raw  # noqa: N815

    @property
    def body(self) -> bytes:
        """Return the body as it stands in the line."""
        return bytes(self.modelInput)

    @property
    def line_bytes(self) -> int:
        """Return the bytes that the record takes in its shard."""
        return len(_FRAME) + len(self.recordId) + len(self.body)


# What stands around id and body, with the end of the line.
_FRAME = b'{"recordId":"","modelInput":}\n'
_DECODER = msgspec.json.Decoder(ShardLine)


def read_shard(data: bytes) -> Iterator[ShardLine]:
    """Yield the records of a shard, or of the whole lines that its beginning holds."""
    for line in data.split(b"\n"):
        if line:
            yield _DECODER.decode(line)
