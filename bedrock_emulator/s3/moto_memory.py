"""Keeps moto's S3 from holding large objects in memory more often than needed.

moto spools an object to disk, but writes it to a memory buffer first, whole, and copies that
buffer to the disk. For the 100 MB of a large job's output that is 200 MB for a moment.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

# moto's own threshold: below it an object stays in memory, and costs no open file.
_LARGE = 16 * 1024 * 1024


class FileValue:
    """The content of an object that is read from a file, in place of its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return self.path.stat().st_size


def spool_large_values() -> None:
    """Let keys that moto would spool go to their temporary file at once; may be called twice.

    Replaces the setter of `FakeKey.value` (moto 5.2), whose buffer is a SpooledTemporaryFile, and
    makes it take a `FileValue` too.
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
