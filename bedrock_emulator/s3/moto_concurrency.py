"""Lets moto's S3 replace or delete an object while other requests use it, as S3 does.

moto closes the content of an object at once when it is replaced. A request that has just looked it
up then fails, also the put of the old one, which has yet to reply with an ETag. And moto reads the
content for an ETag while another request may read the same file.
"""

from __future__ import annotations

from typing import Any


def allow_concurrent_requests() -> None:
    """Close an object's content when nothing uses it any more; read it in one place at a time.

    This replaces `FakeKey.dispose` and `FakeKey.etag` (moto 5.2). May be called twice.
    """
    import moto.s3.models

    key_type: Any = moto.s3.models.FakeKey
    close, etag = key_type.dispose, key_type.etag
    if getattr(close, "waits_for_requests", False):
        return

    def dispose(key: Any, garbage: bool = False) -> None:
        key.disposed = True
        if garbage:  # Python calls it when nothing refers to the object
            close(key, garbage)

    def get_etag(key: Any) -> Any:
        with key.lock:
            return etag.fget(key)

    dispose.waits_for_requests = True  # type: ignore[attr-defined]
    key_type.dispose = dispose
    key_type.etag = property(get_etag)
