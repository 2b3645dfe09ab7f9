"""Read output files piece by piece: a file may have a gigabyte, and a task has no such memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bedrock_spark.outputs.lines import BadLine, OutputRecord, read_lines
from bedrock_spark.storage import Storage, StoredObject

# The bytes of a piece, and of a file that is read whole, without a local copy.
PIECE_BYTES = 2_000_000


def read_pieces(
    storage: Storage, item: StoredObject, scratch: Path
) -> Iterator[OutputRecord | BadLine]:
    """Yield the lines of an output file.

    scratch: a local folder for a copy of the file, which is deleted after its last line
    """
    if item.size <= PIECE_BYTES:
        yield from read_lines(storage.read(item.key))
        return
    copy = scratch / "lines"
    path = storage.fetch(item.key, copy)
    first_line, first_byte = 1, 0
    for piece in whole_lines(path, PIECE_BYTES):
        yield from read_lines(piece, first_line, first_byte)
        first_line += piece.count(b"\n")
        first_byte += len(piece)
    copy.unlink(missing_ok=True)


def whole_lines(path: Path, size: int) -> Iterator[bytes]:
    """Yield a file in pieces of about `size` bytes. Each but the last ends with a newline."""
    held: list[bytes] = []  # the parts of a line that is longer than a piece
    with path.open("rb") as file:
        while block := file.read(size):
            stop = block.rfind(b"\n") + 1
            if stop:
                yield b"".join((*held, block[:stop]))
                held = []
            held.append(block[stop:])
    if last := b"".join(held):
        yield last
