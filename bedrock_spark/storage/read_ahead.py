"""Read objects ahead, piece by piece: a caller waits for the store once, not once a piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from bedrock_spark.storage.base import Storage, StoredObject
from bedrock_spark.storage.local import LocalStorage

# How many reads run while the caller is busy: a few whatever their size, and more while their
# pieces together are small. Memory holds these pieces and one more. Records that are far from each
# other are small pieces, and each costs the latency of the store. Collect takes its pieces of 2 MB
# in bursts, and needs six: with four, it waits for 0.4 s of 3 s if a call takes 30 ms.
READS_AHEAD, MOST_READS_AHEAD = 4, 16
BYTES_AHEAD = 12_000_000

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
    running: deque[tuple[Piece, Future[bytes]]] = deque()
    following = next(pieces, None)
    ahead = 0  # the bytes of the pieces that are being read
    with ThreadPoolExecutor(MOST_READS_AHEAD, thread_name_prefix="read-ahead") as pool:

        def begin() -> None:
            nonlocal following, ahead
            while following is not None and (
                len(running) < READS_AHEAD
                or (len(running) < MOST_READS_AHEAD and ahead + _size_of(following) <= BYTES_AHEAD)
            ):
                running.append((following, pool.submit(storage.read_range, *following)))
                ahead += _size_of(following)
                following = next(pieces, None)

        try:
            begin()
            yield "", b""
            while running:
                piece, reading = running.popleft()
                data = reading.result()
                ahead -= _size_of(piece)
                begin()
                yield piece[0], data
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _size_of(piece: Piece) -> int:
    _, start, stop = piece
    return stop - start


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
