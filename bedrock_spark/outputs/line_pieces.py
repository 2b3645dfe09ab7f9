"""Read output files piece by piece: a file may have a gigabyte, and a task has no such memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bedrock_spark.outputs.lines import AnsweredLines, BadLine, OutputRecord, read_many
from bedrock_spark.storage import LineReader, StoredObject

# The bytes of a piece.
PIECE_BYTES = 2_000_000


def read_pieces(
    reader: LineReader,
    item: StoredObject,
    look: Callable[[bytes], None] | None = None,
    *,
    has_notes: bool = False,
) -> Iterator[OutputRecord | BadLine | AnsweredLines]:
    """Yield the lines of the reader's next file; the order within a piece is open.

    look: is called with each piece before its lines are read
    has_notes: whether this package wrote the file, so that its notes are read
    """
    first_line, first_byte = 1, 0
    for piece in reader.whole_lines(item):
        if look is not None:
            look(piece)
        newlines = piece.count(b"\n")
        yield from read_many(piece, newlines, first_line, first_byte, has_notes=has_notes)
        first_line += newlines
        first_byte += len(piece)
