"""An object as a file that can be read at any place, such as by PyArrow, and not as a whole."""

from __future__ import annotations

import io

from bedrock_spark.storage.base import Storage

# A smaller object is read whole: one request costs less than several.
WHOLE_BYTES = 4_000_000


class RangeFile(io.RawIOBase):
    """An object as a file: each read is a request of a range.

    size: of the object in bytes
    version: as it was listed; None for an object that is never written again. If another version
        is there, a read raises ObjectChangedError: bytes of two versions would be mixed
    """

    def __init__(self, storage: Storage, key: str, size: int, version: str | None = None) -> None:
        super().__init__()
        self._storage = storage
        self._key = key
        self._size = size
        self._version = version
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._place)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        stop = self._place + wanted
        data = self._storage.read_range(self._key, self._place, stop, self._version)
        self._place += len(data)
        return data

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        """Fill a buffer, as far as the object has bytes; return how many. io's buffers call it."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
