"""An object that one process at a time holds and writes again, such as a lease or a claim.

The holder knows the version that it has written last, and replaces that one only. So it notices if
another process has taken the object over. The reply to a write may be lost: then the object has
another version, and still it is the holder's own. That is no takeover.
"""

from __future__ import annotations

from collections.abc import Callable

from bedrock_spark.errors import ObjectChangedError
from bedrock_spark.storage.base import Storage


def replace_held(
    storage: Storage,
    key: str,
    data: bytes,
    version: str | None,
    holder_of: Callable[[bytes], str | None],
) -> str:
    """Write an object that this holder has, or wants to have; return the new version.

    version: the one that it has read or written last; None if the object must not exist yet
    holder_of: returns which holder has written some bytes, None if they do not say
    Raises ObjectChangedError if another holder has written the object since that version.
    """
    try:
        return storage.replace(key, data, version)
    except ObjectChangedError:
        found = storage.read_version(key)
        if found is None or holder_of(found[0]) != holder_of(data):
            raise
        return storage.replace(key, data, found[1])
