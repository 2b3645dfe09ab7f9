"""Fetch S3 objects ahead of the rows that need them, several at once, with bounded memory.

Read-ahead with a window (https://en.wikipedia.org/wiki/Readahead): up to `threads` objects of rows
further on are read while earlier rows wait for theirs. Rows are yielded in groups. While a group is
worked on, all its objects are in memory; when the next group is asked for, they are dropped. So
memory holds one group, and the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import Fetch

THREADS = 16
# A group ends with the row that brings it to this many bytes.
GROUP_BYTES = 64_000_000


class Prefetch:
    """Fetches objects by URI. `read` is called in `threads` threads at once.

    max_row_bytes: once the objects of a row exceed this, the rest of them is not fetched: the row
        will be rejected
    group_bytes: a group of rows ends once it has this many bytes
    """

    def __init__(
        self,
        read: Fetch,
        max_row_bytes: int,
        threads: int = THREADS,
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self._read = read
        self._max_row_bytes = max_row_bytes
        self._threads = threads
        self._group_bytes = group_bytes
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        # The objects of the group, and the last object that was read outside of a group.
        self._held: dict[str, Future[bytes]] = {}
        self._last_read: tuple[str, bytes] | None = None

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def fetch(self, uri: str) -> bytes:
        """Return the object at a URI: the group's, or one that is read now."""
        held = self._held.get(uri)
        if held is not None:
            return held.result()
        if self._last_read is None or self._last_read[0] != uri:
            self._last_read = None
            self._last_read = (uri, self._read(uri))
        return self._last_read[1]

    def groups(self, rows: Sequence[list[str]], weights: Sequence[int]) -> Iterator[int]:
        """Yield the number of rows in each group, in order. All objects of a group are fetched.

        rows: the URIs that each row needs
        weights: the bytes that each row holds itself

        Raises what `read` raises, except Unrenderable: `fetch` raises that for its row.
        """
        ahead = _ReadAhead(rows, self._threads, self._submit, self._held.__contains__)
        start, group_bytes = 0, 0
        for row, weight in enumerate(weights):
            group_bytes += weight + self._hold_objects(rows[row], ahead)
            if group_bytes >= self._group_bytes or row == len(weights) - 1:
                self._last_read = None
                yield row + 1 - start
                self._held.clear()
                start, group_bytes = row + 1, 0

    def _hold_objects(self, uris: list[str], ahead: _ReadAhead) -> int:
        """Wait for the objects of a row and hold them; return the bytes of those new in the group.

        Stops once they exceed max_row_bytes.
        """
        size = 0
        for uri in uris:
            if size > self._max_row_bytes:
                break
            if uri not in self._held:
                self._held[uri] = ahead.claim(uri)
                size += _size(self._held[uri])
        ahead.end_row()
        return size

    def _submit(self, uri: str) -> Future[bytes]:
        return self._pool.submit(self._read, uri)


class _ReadAhead:
    """The window of reads for the next rows: never more than `window` that nobody has claimed."""

    def __init__(
        self,
        rows: Sequence[list[str]],
        window: int,
        submit: Callable[[str], Future[bytes]],
        is_held: Callable[[str], bool],
    ) -> None:
        self._window = window
        self._submit = submit
        self._is_held = is_held
        self._row = 0
        self._upcoming = ((i, uri) for i, row in enumerate(rows) for uri in row if i >= self._row)
        # By URI, the first row that needs it and its read.
        self._pending: dict[str, tuple[int, Future[bytes]]] = {}

    def claim(self, uri: str) -> Future[bytes]:
        """Fill the window, then return the read of this URI and take it out of the window."""
        self._fill()
        _, future = self._pending.pop(uri, (0, None))
        return self._submit(uri) if future is None else future

    def end_row(self) -> None:
        """Go to the next row. Cancel the reads that the ended row did not claim."""
        self._row += 1
        for uri in [u for u, (row, _) in self._pending.items() if row < self._row]:
            self._pending.pop(uri)[1].cancel()

    def _fill(self) -> None:
        while len(self._pending) < self._window:
            row, uri = next(self._upcoming, (0, None))
            if uri is None:
                return
            if uri not in self._pending and not self._is_held(uri):
                self._pending[uri] = (row, self._submit(uri))


def _size(future: Future[bytes]) -> int:
    try:
        return len(future.result())
    except Unrenderable:
        return 0
