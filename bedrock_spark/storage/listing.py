"""List several folders at once: a caller waits for the longest listing, not for their sum."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bedrock_spark.storage.base import Storage, StoredObject
from bedrock_spark.storage.local import LocalStorage

_LISTINGS = 8


def list_all(storage: Storage, prefixes: Sequence[str]) -> list[StoredObject]:
    """Return every object whose key begins with one of some prefixes, prefix by prefix."""
    if isinstance(storage, LocalStorage) or len(prefixes) < 2:
        return [stored for prefix in prefixes for stored in storage.list(prefix)]
    with ThreadPoolExecutor(_LISTINGS, thread_name_prefix="list") as pool:
        return [stored for listed in pool.map(storage.list, prefixes) for stored in listed]
