"""Lets moto's S3 hold less of large objects in memory, and read less of them.

moto spools an object to disk, but first writes all of it to a buffer in memory, and then copies
that buffer to disk. For the 100 MB output of a large job that takes 200 MB for a moment. For a
range of an object it reads the whole object, twice: a download of 100 MB in parts of 8 MB reads
2.6 GB.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from bedrock_emulator.s3.moto_uploads import PartsValue, join_parts_once

# moto's own threshold: up to this size an object stays in memory and needs no open file.
_LARGE = 16 * 1024 * 1024


class FileValue:
    """The content of an object as a file, given to moto in place of bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return self.path.stat().st_size

    def write_to(self, buffer: Any) -> None:
        """Write the content to the spooled file of an object."""
        with self.path.open("rb") as file:
            shutil.copyfileobj(file, buffer)


class RangedValue:
    """The content of an object, of which moto takes a slice for a request of a range."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def __len__(self) -> int:
        return int(self._key.contentsize)

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(len(self))
        with self._key.lock:
            self._key._value_buffer.seek(start)
            content: bytes = self._key._value_buffer.read(max(0, stop - start))
        return content


def use_less_memory() -> None:
    """Make moto write large objects directly to their file, and read ranges. May be called twice.

    This replaces `FakeKey.value` (moto 5.2), whose buffer is a SpooledTemporaryFile, and wraps the
    functions that answer a GET of an object. The new setter also accepts a `FileValue` and a
    `PartsValue`.
    """
    _spool_large_values()
    _read_ranges()
    join_parts_once()


def _read_ranges() -> None:
    import moto.s3.models
    import moto.s3.responses

    response_type: Any = moto.s3.responses.S3Response
    key_type: Any = moto.s3.models.FakeKey
    value, get_object = key_type.value, response_type.get_object
    handle_range = response_type._handle_range_header
    if getattr(get_object, "reads_ranges", False):
        return
    asked = threading.local()

    def get_value(key: Any) -> Any:
        return RangedValue(key) if getattr(asked, "range", None) else value.fget(key)

    def get_range(response: Any) -> Any:
        asked.range = response.headers.get("range")
        try:
            reply = get_object(response)
        finally:
            asked.range = None
        # moto takes the range of a reply with the status 200, and of no other.
        return reply if reply[0] == 200 else _with_bytes(reply)

    def take_range(*arguments: Any) -> Any:
        return _with_bytes(handle_range(*arguments))  # a range in another form means the whole

    get_range.reads_ranges = True  # type: ignore[attr-defined]
    key_type.value = property(get_value, value.fset)
    response_type.get_object = get_range
    response_type._handle_range_header = take_range


def _with_bytes(reply: Any) -> Any:
    status, headers, content = reply
    return status, headers, content[:] if isinstance(content, RangedValue) else content


def _spool_large_values() -> None:
    import moto.s3.models

    key_type: Any = moto.s3.models.FakeKey
    value: Any = key_type.value
    if getattr(value.fset, "spools_large_values", False):
        return

    def set_value(key: Any, content: Any) -> None:
        if len(content) > _LARGE:
            key._value_buffer.rollover()
        if not isinstance(content, FileValue | PartsValue):
            value.fset(key, content)
            return
        key._value_buffer.seek(0)
        key._value_buffer.truncate()
        content.write_to(key._value_buffer)
        key.contentsize = len(content)

    set_value.spools_large_values = True  # type: ignore[attr-defined]
    key_type.value = property(value.fget, set_value)
