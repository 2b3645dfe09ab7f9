"""What rows need from elsewhere, fetched several at once and ahead of the row that needs it.

Rows are given out in groups: whoever works on a group has all it needs at hand, and when it asks
for the next, what the last one needed is let go. So what is held is bounded by one group, and by
what is under way for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import Fetch

THREADS = 16
# A group is given out as soon as it has this much.
GROUP_BYTES = 64_000_000


class Prefetch:
    """Fetches by URI. `read` is called in many threads.

    max_row_bytes: of a row that needs more, the rest is not fetched; it will be rejected
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
        self._held: dict[str, Future[bytes]] = {}
        self._last: tuple[str, bytes] | None = None

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def fetch(self, uri: str) -> bytes:
        """Return what is at a URI; fetched now, where it was not seen beforehand."""
        held = self._held.get(uri)
        if held is not None:
            return held.result()
        if self._last is None or self._last[0] != uri:
            self._last = None
            self._last = (uri, self._read(uri))
        return self._last[1]

    def groups(self, rows: Sequence[list[str]], weights: Sequence[int]) -> Iterator[int]:
        """Yield how many of the next rows have all they need, until there are no more rows.

        rows: the URIs that each needs
        weights: the bytes that each has already

        Raises what reading raises, but for Unrenderable: fetch raises that, row by row.
        """
        ahead = _Ahead(rows, self._threads, self._start, self._held.__contains__)
        start, held = 0, 0
        for row, weight in enumerate(weights):
            held += weight + self._hold(rows[row], ahead)
            if held >= self._group_bytes or row == len(weights) - 1:
                self._last = None
                yield row + 1 - start
                self._held.clear()
                start, held = row + 1, 0

    def _hold(self, uris: list[str], ahead: _Ahead) -> int:
        """Wait for what a row needs; return its bytes."""
        size = 0
        for uri in uris:
            if size > self._max_row_bytes:
                break
            if uri not in self._held:
                self._held[uri] = ahead.take(uri)
                size += _size(self._held[uri])
        ahead.leave_row()
        return size

    def _start(self, uri: str) -> Future[bytes]:
        return self._pool.submit(self._read, uri)


class _Ahead:
    """What is under way for rows that follow: never more than so many at once."""

    def __init__(
        self,
        rows: Sequence[list[str]],
        most: int,
        start: Callable[[str], Future[bytes]],
        is_held: Callable[[str], bool],
    ) -> None:
        self._most = most
        self._start = start
        self._is_held = is_held
        self._row = 0
        self._upcoming = ((i, uri) for i, row in enumerate(rows) for uri in row if i >= self._row)
        self._pending: dict[str, tuple[int, Future[bytes]]] = {}

    def take(self, uri: str) -> Future[bytes]:
        """Return the next of them, and see that others are under way."""
        self._start_more()
        _, future = self._pending.pop(uri, (0, None))
        return self._start(uri) if future is None else future

    def leave_row(self) -> None:
        """Forget what the row in turn has not taken."""
        self._row += 1
        for uri in [u for u, (row, _) in self._pending.items() if row < self._row]:
            self._pending.pop(uri)[1].cancel()

    def _start_more(self) -> None:
        while len(self._pending) < self._most:
            row, uri = next(self._upcoming, (0, None))
            if uri is None:
                return
            if uri not in self._pending and not self._is_held(uri):
                self._pending[uri] = (row, self._start(uri))


def _size(future: Future[bytes]) -> int:
    try:
        return len(future.result())
    except Unrenderable:
        return 0
