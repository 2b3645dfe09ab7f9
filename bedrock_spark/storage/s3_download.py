"""Copy an object from S3 into a file, by ranges that are read at once.

boto3's own download asks for the size of the object before it reads a byte, and so waits for the
latency of S3 once more. Here the first range says the size, unless the caller knows it.

What goes wrong while bytes arrive, such as a connection that breaks, is tried again from there:
botocore repeats calls, but not what it streams.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from bedrock_spark.aws.errors import error_code
from bedrock_spark.aws.protocols import S3Client
from bedrock_spark.storage.base import changed_while_read, wrong_size

# The bytes of a range, and how many are read at once. Memory holds a piece of each.
RANGE_BYTES = 8 * 1024 * 1024
_AT_ONCE = 10
_PIECE_BYTES = 256 * 1024
_TRIES = 5
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")
# The object has no byte at the beginning of the range.
_EMPTY = {"InvalidRange", "416"}


class Download:
    """One object, which becomes a file.

    place, key: its URI, and its key in the storage, for messages
    size: in bytes; None if it is not known
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        name: str,
        place: str,
        key: str,
        size: int | None,
    ) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": name}
        self._place = place
        self._key = key
        self._size = size
        self._versions: set[str] = set()

    def into(self, path: Path) -> None:
        """Write the object to a path. If that fails, there is no file."""
        try:
            with path.open("wb") as file:
                self._write(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _write(self, file: int) -> None:
        size, first = self._size, 0
        if size is None:
            size, first = self._read(file, 0, RANGE_BYTES), RANGE_BYTES
        starts = range(first, size, RANGE_BYTES)
        ranges = [(start, min(start + RANGE_BYTES, size)) for start in starts]
        if len(ranges) < 2:
            for each in ranges:
                self._read(file, *each)
        else:
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="download") as pool:
                list(pool.map(lambda each: self._read(file, *each), ranges))
        if len(self._versions) > 1:
            raise changed_while_read(self._place, self._key)

    def _read(self, file: int, start: int, stop: int) -> int:
        """Write the bytes of a range into the file; return the size of the whole object."""
        for more in reversed(range(_TRIES)):
            reply = self._get(start, stop)
            total = 0 if reply is None else _total(reply)
            if self._size is not None and total != self._size:
                raise wrong_size(self._place, self._key, total, self._size)
            if reply is None:
                break
            try:
                for piece in reply["Body"].iter_chunks(_PIECE_BYTES):
                    _write_all(file, piece, start)
                    start += len(piece)
            except (HTTPClientError, IncompleteReadError):
                if not more:
                    raise
            if start >= min(stop, total):
                break
        return total

    def _get(self, start: int, stop: int) -> Any:
        """Begin to read a range; None if the object is empty."""
        # A small object is read whole: then botocore checks its checksum.
        is_whole = start == 0 and stop == self._size
        options = {} if is_whole else {"Range": f"bytes={start}-{stop - 1}"}
        try:
            reply = self._client.get_object(**self._object, **options)
        except ClientError as exc:
            if error_code(exc) not in _EMPTY:
                raise
            if start == 0:
                return None
            # It ends before this range begins. Another range says the size.
            raise changed_while_read(self._place, self._key) from exc
        self._versions.add(str(reply["ETag"]))
        return reply


def _write_all(file: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, place)
        view, place = view[written:], place + written


def _total(reply: dict[str, Any]) -> int:
    """Return the size of the object that a reply has a range of."""
    match = _TOTAL.fullmatch(str(reply.get("ContentRange", "")))
    return int(match[1]) if match else int(reply["ContentLength"])
