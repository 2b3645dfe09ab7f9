"""Read output files piece by piece: a file may have a gigabyte, and a task has no such memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bedrock_spark.outputs.lines import AnsweredLines, BadLine, OutputRecord, read_many
from bedrock_spark.storage import Storage, StoredObject

# The bytes of a piece, and of a file that is read whole, without a local copy.
PIECE_BYTES = 2_000_000


def read_pieces(
    storage: Storage, item: StoredObject, scratch: Path
) -> Iterator[OutputRecord | BadLine | AnsweredLines]:
    """Yield the lines of an output file; the order within a piece is open.

    scratch: a local folder for a copy of the file, which is deleted after its last line
    """
    if item.size <= PIECE_BYTES:
        data = storage.read(item.key)
        yield from read_many(data, data.count(b"\n"))
        return
    copy = scratch / "lines"
    path = storage.fetch(item.key, copy)
    first_line, first_byte = 1, 0
    for piece in whole_lines(path, PIECE_BYTES):
        newlines = piece.count(b"\n")
        yield from read_many(piece, newlines, first_line, first_byte)
        first_line += newlines
        first_byte += len(piece)
    copy.unlink(missing_ok=True)


def whole_lines(path: Path, size: int) -> Iterator[bytes]:
    """Yield a file in pieces of about `size` bytes. Each but the last ends with a newline."""
    with path.open("rb") as file:
        while block := file.read(size):
            yield block + file.readline()
