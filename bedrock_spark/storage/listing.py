"""List several folders at once, and pages ahead: a caller waits for the longest listing only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

from bedrock_spark.storage.base import Storage, StoredObject
from bedrock_spark.storage.local import LocalStorage

_LISTINGS = 8
# The objects of one page: S3's most (ListObjectsV2 in the Amazon S3 API reference).
_PAGE = 1_000


def list_all(storage: Storage, prefixes: Sequence[str]) -> list[StoredObject]:
    """Return every object whose key begins with one of some prefixes, prefix by prefix."""
    if isinstance(storage, LocalStorage) or len(prefixes) < 2:
        return [stored for prefix in prefixes for stored in storage.list(prefix)]
    with ThreadPoolExecutor(_LISTINGS, thread_name_prefix="list") as pool:
        return [stored for listed in pool.map(storage.list, prefixes) for stored in listed]


def scan_ahead(storage: Storage, prefix: str) -> Iterator[StoredObject]:
    """Begin a listing; yield its objects. The next page is listed while the caller is busy.

    Memory holds two pages. Raises StorageError when the caller gets to the page that failed.
    """
    listed = storage.scan(prefix)
    if isinstance(storage, LocalStorage):
        return listed
    pages = _pages_ahead(listed)
    next(pages)  # it has begun
    return chain.from_iterable(pages)


def _pages_ahead(listed: Iterator[StoredObject]) -> Iterator[list[StoredObject]]:
    """Yield an empty page when the first one is being listed; then the pages."""

    def next_page() -> list[StoredObject]:
        return list(islice(listed, _PAGE))

    # `with` ends the thread even if Ctrl-C arrives while it starts.
    with ThreadPoolExecutor(1, thread_name_prefix="list-ahead") as pool:
        try:
            following = pool.submit(next_page)
            yield []
            while page := following.result():
                following = pool.submit(next_page)
                yield page
        finally:
            pool.shutdown(cancel_futures=True)
