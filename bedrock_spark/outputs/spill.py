"""Keep the answers that are not ok, beyond a few megabytes in a local file.

An answer that is ok becomes a row at once. One that is not may still be followed by a better one,
so it has to wait for the last line of its shard.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

# The bytes of answers that stay in memory.
IN_MEMORY = 32_000_000


class Spilled(msgspec.Struct, frozen=True, gc=False):
    """The place of an answer in the file, in bytes."""

    start: int
    size: int


class Spill:
    """Holds answers; what does not fit into memory is in a file of `folder`.

    Use it as a context manager: it closes the file. The folder is deleted by its owner.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "answers"
        self._left = IN_MEMORY
        self._file: BinaryIO | None = None

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, output: bytes) -> Spilled | None:
        """Hold an answer; return its place in the file, or None if it may stay in memory."""
        self._left -= len(output)
        if self._left >= 0:
            return None
        if self._file is None:
            self._file = self._path.open("w+b")
        start = self._file.seek(0, 2)
        self._file.write(output)
        return Spilled(start, len(output))

    def get(self, place: Spilled) -> bytes:
        """Return an answer from the file."""
        assert self._file is not None
        self._file.seek(place.start)
        return self._file.read(place.size)
