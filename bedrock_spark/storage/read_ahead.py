"""Read ranges of an object ahead: a caller waits for the store once, not once a range."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from bedrock_spark.storage.base import Storage

# How many reads run while the caller is busy. Memory holds the bytes of so many ranges, and one.
READS_AHEAD = 4


def read_ranges(
    storage: Storage, key: str, ranges: Iterable[tuple[int, int]]
) -> Generator[tuple[int, bytes], None, None]:
    """Yield where each range begins, and its bytes, in order. Close it to end its threads.

    ranges: each from a first byte up to another one
    Raises StorageError, as `Storage.read_range` does.
    """
    rest = iter(ranges)
    running: deque[tuple[int, Future[bytes]]] = deque()
    with ThreadPoolExecutor(READS_AHEAD, thread_name_prefix="read-ahead") as pool:

        def begin(most: int) -> None:
            for start, stop in islice(rest, most):
                running.append((start, pool.submit(storage.read_range, key, start, stop)))

        try:
            begin(READS_AHEAD)
            while running:
                start, reading = running.popleft()
                data = reading.result()
                begin(1)
                yield start, data
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
