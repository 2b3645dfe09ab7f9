"""Read objects ahead, piece by piece: a caller waits for the store once, not once a piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeAlias

from bedrock_spark.storage.base import Storage, StoredObject
from bedrock_spark.storage.local import LocalStorage

# How many reads run while the caller is busy. Memory holds these pieces and one more.
READS_AHEAD = 4

# A piece of an object: its key, from its first byte up to another one.
Piece: TypeAlias = tuple[str, int, int]


def read_ahead(
    storage: Storage, pieces: Iterable[Piece]
) -> Generator[tuple[str, bytes], None, None]:
    """Begin to read; return the key and the bytes of each piece, in order.

    Close it to end its threads, also if nothing was taken from it. Raises StorageError, as
    `Storage.read_range` does.
    """
    if isinstance(storage, LocalStorage):  # the operating system reads ahead
        return ((piece[0], storage.read_range(*piece)) for piece in pieces)
    ahead = _read_in_threads(storage, iter(pieces))
    next(ahead)  # it has begun
    return ahead


def _read_in_threads(
    storage: Storage, pieces: Iterator[Piece]
) -> Generator[tuple[str, bytes], None, None]:
    """Yield nothing of use when the first reads have begun; then the pieces."""
    running: deque[tuple[str, Future[bytes]]] = deque()
    with ThreadPoolExecutor(READS_AHEAD, thread_name_prefix="read-ahead") as pool:

        def begin(most: int) -> None:
            for piece in islice(pieces, most):
                running.append((piece[0], pool.submit(storage.read_range, *piece)))

        try:
            begin(READS_AHEAD)
            yield "", b""
            while running:
                key, reading = running.popleft()
                data = reading.result()
                begin(1)
                yield key, data
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class LineReader:
    """The lines of several objects, which are read one after the other, in pieces.

    The pieces of later objects are read ahead, too, so many small objects cost little time.
    """

    def __init__(self, storage: Storage, objects: Sequence[StoredObject], piece_bytes: int) -> None:
        """objects: in the order in which they are read, with their sizes as listed"""
        self._piece_bytes = piece_bytes
        pieces = (piece for stored in objects for piece in self._pieces_of(stored))
        self._pieces = read_ahead(storage, pieces)

    def whole_lines(self, stored: StoredObject) -> Iterator[bytes]:
        """Yield the bytes of the next object in pieces; each but the last ends with a newline."""
        held: list[bytes | memoryview] = []  # the parts of a line that is longer than a piece
        for key, _, _ in self._pieces_of(stored):
            read_key, data = next(self._pieces, ("the objects", b""))
            if read_key != key:
                raise ValueError(f"{key} was read before the end of {read_key}")
            stop = data.rfind(b"\n") + 1
            if stop:
                yield b"".join((*held, memoryview(data)[:stop]))
                held = []
            held.append(data[stop:])
        if last := b"".join(held):
            yield last

    def close(self) -> None:
        """End the reads that run ahead."""
        self._pieces.close()

    def _pieces_of(self, stored: StoredObject) -> Iterator[Piece]:
        for start in range(0, stored.size, self._piece_bytes):
            yield stored.key, start, min(start + self._piece_bytes, stored.size)
