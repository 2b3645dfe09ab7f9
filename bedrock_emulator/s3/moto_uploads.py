"""Lets moto's S3 complete an upload with one copy of its parts.

moto joins the parts in memory, and writes the whole from there. It keeps the parts beside the
object: each is an open file, and all of them take the disk a second time. Here the object takes
over the content of its parts, of which moto then needs the size and the ETag only.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

_CHUNK = 1024 * 1024


class PartsValue:
    """The content of an object as the parts of its upload, given to moto in place of bytes."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(int(part.contentsize) for part in self._parts)

    def write_to(self, buffer: Any) -> None:
        """Write the content to the spooled file of an object. The parts have none after that."""
        for part in self._parts:
            with part.lock, part._value_buffer as own:
                own.seek(0)
                shutil.copyfileobj(own, buffer, _CHUNK)
                part._value_buffer = io.BytesIO()


def join_parts_once() -> None:
    """Join the parts of an upload as they are on disk. This replaces `FakeMultipart.complete`.

    The class is moto's (5.2). May be called twice.
    """
    import moto.s3.models

    models: Any = moto.s3.models
    upload_type = models.FakeMultipart
    if getattr(upload_type.complete, "joins_once", False):
        return

    def complete(upload: Any, named: Iterable[tuple[int, str]]) -> tuple[PartsValue, str, Any]:
        parts, digests = [], b""
        for number, etag in named:
            part = upload.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise models.InvalidPart
            parts.append(part)
            digests += bytes.fromhex(part.etag.strip('"'))
        if not parts:
            raise models.MalformedXML
        if any(part.contentsize < models.S3_UPLOAD_PART_MIN_SIZE for part in parts[:-1]):
            raise models.EntityTooSmall
        kind = (upload.metadata.get(f"x-amz-checksum-{name}") for name in ("algorithm", "type"))
        checksum = models.MultipartChecksumBuilder(*kind)
        for part in parts:
            checksum.addPart(part.value)
        # Of two completions at once, one has the parts. S3 knows no such upload then, either.
        own = object()
        if upload.__dict__.setdefault("joined_by", own) is not own:
            raise models.NoSuchUpload(upload_id=upload.id)
        # S3 names an object of parts so; it protects nothing.
        etag = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return PartsValue(parts), f"{etag}-{len(parts)}", checksum.build()

    complete.joins_once = True  # type: ignore[attr-defined]
    upload_type.complete = complete
