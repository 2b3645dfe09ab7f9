"""Keeps moto's S3 from holding large objects in memory more often than needed.

moto spools an object to disk, but writes it to a memory buffer first, whole, and copies that
buffer to the disk. For the 100 MB of a large job's output that is 200 MB for a moment.
"""

from __future__ import annotations

from typing import Any

_LARGE = 1024 * 1024


def spool_large_values() -> None:
    """Let keys of more than a megabyte go to their temporary file at once; may be called twice.

    Replaces the setter of `FakeKey.value` (moto 5.2), whose buffer is a SpooledTemporaryFile.
    """
    import moto.s3.models

    key_type: Any = moto.s3.models.FakeKey
    value: Any = key_type.value
    if getattr(value.fset, "spools_large_values", False):
        return

    def set_value(key: Any, content: Any) -> None:
        if len(content) > _LARGE:
            key._value_buffer.rollover()
        value.fset(key, content)

    set_value.spools_large_values = True  # type: ignore[attr-defined]
    key_type.value = property(value.fget, set_value)
