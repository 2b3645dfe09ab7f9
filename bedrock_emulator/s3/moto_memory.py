"""Lets moto's S3 hold less of large objects in memory.

moto spools an object to disk, but first writes all of it to a buffer in memory, and then copies
that buffer to disk. For the 100 MB output of a large job that takes 200 MB for a moment.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

# moto's own threshold: up to this size an object stays in memory and needs no open file.
_LARGE = 16 * 1024 * 1024


class FileValue:
    """The content of an object as a file, given to moto in place of bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return self.path.stat().st_size


def spool_large_values() -> None:
    """Make moto write large objects directly to their temporary file. May be called twice.

    This replaces the setter of `FakeKey.value` (moto 5.2), whose buffer is a SpooledTemporaryFile.
    The new setter also accepts a `FileValue`.
    """
    import moto.s3.models

    key_type: Any = moto.s3.models.FakeKey
    value: Any = key_type.value
    if getattr(value.fset, "spools_large_values", False):
        return

    def set_value(key: Any, content: Any) -> None:
        if len(content) > _LARGE:
            key._value_buffer.rollover()
        if not isinstance(content, FileValue):
            value.fset(key, content)
            return
        key._value_buffer.seek(0)
        key._value_buffer.truncate()
        with content.path.open("rb") as file:
            shutil.copyfileobj(file, key._value_buffer)
        key.contentsize = len(content)

    set_value.spools_large_values = True  # type: ignore[attr-defined]
    key_type.value = property(value.fget, set_value)
