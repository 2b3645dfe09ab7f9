"""Images and documents in a row: their bytes and their format.

A value is bytes, or the `s3://` URI of an object, which the function `fetch` reads. The format is
found by the magic numbers of the bytes (https://en.wikipedia.org/wiki/List_of_file_signatures).
For texts (csv, html, txt, md), and for Office files without their usual parts, the extension of the
URI decides. Nothing but `s3://` is ever fetched: a row must not be able to read files of the
machine.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bedrock_spark.s3_spelling import same_s3
from bedrock_spark.templates.json_values import Unrenderable

# Returns the bytes of an object. Raises Unrenderable if the row is at fault: no such object, say.
Fetch = Callable[[str], bytes]

IMAGES: dict[str, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
TEXTS: dict[str, str] = {
    "csv": "text/csv",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
DOCUMENTS: dict[str, str] = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    **TEXTS,
}
_TYPES = IMAGES | DOCUMENTS
_SCHEME = "s3://"


@dataclass(frozen=True)
class Media:
    """The bytes of an image or a document, and its format: `png`, `docx`, …"""

    data: bytes
    format: str

    @property
    def media_type(self) -> str:
        """Return the format's media type, such as `image/png`."""
        return _TYPES[self.format]


def fetches_nothing(uri: str) -> bytes:
    """Raise Unrenderable: a Fetch for the places where S3 is not available."""
    raise Unrenderable("names an S3 object, which cannot be fetched here")


def read_media(value: Any, fetch: Fetch) -> Media:
    """Return the image or document of one value. Raises Unrenderable and the errors of `fetch`."""
    if value is None:
        raise Unrenderable("is null")
    if isinstance(value, (bytes, bytearray, memoryview)):
        data, uri = bytes(value), ""
    elif isinstance(value, str):
        uri = value
        data = fetch(checked_uri(uri))
    elif isinstance(value, list):
        raise Unrenderable("is an array; take one element, as in photos[0]")
    else:
        raise Unrenderable("is neither bytes nor an s3:// URI")
    return Media(data, _format_of(data, _extension(uri)))


def read_all_media(value: Any, fetch: Fetch) -> Iterator[Media]:
    """Yield the images or documents of a value or an array. An empty array yields nothing."""
    if not isinstance(value, list):
        yield read_media(value, fetch)
        return
    for item in value:
        if item is None:
            raise Unrenderable("holds a null")
        yield read_media(item, fetch)


def base64_of(media: Media) -> str:
    """Return the bytes as base64."""
    return base64.b64encode(media.data).decode()


def uris_in(value: Any) -> list[str]:
    """Return the URIs that reading a value, or an array of them, would fetch."""
    values = value if isinstance(value, list) else (value,)
    uris = (same_s3(v) for v in values if isinstance(v, str))
    return [uri for uri in uris if _is_object(uri)]


def checked_uri(text: str) -> str:
    """Return the URI of an object as `s3://`. Raises Unrenderable for any other text."""
    uri = same_s3(text)
    if not _is_object(uri):
        raise Unrenderable("is not the s3:// URI of an object")
    return uri


def _is_object(text: str) -> bool:
    bucket, _, key = text.removeprefix(_SCHEME).partition("/")
    return text.startswith(_SCHEME) and bool(bucket and key)


def _extension(uri: str) -> str:
    name = uri.rpartition("/")[2]
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    return {"jpg": "jpeg", "htm": "html", "markdown": "md"}.get(extension, extension)


def _format_of(data: bytes, extension: str) -> str:
    if not data:
        raise Unrenderable("is empty")
    for matches, name in _SIGNATURES:
        if matches(data):
            return name
    if data.startswith(_ZIP) and extension in ("docx", "xlsx"):
        return extension
    if data.startswith(_OLE) and extension in ("doc", "xls"):
        return extension
    if extension in TEXTS and b"\0" not in data[:1024]:
        return extension
    raise Unrenderable("is no image or document that is known by its bytes or its extension")


_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Office files are found by the names of their parts: plain text in a zip file (docx, xlsx), UTF-16
# in an OLE file (doc, xls).
_SIGNATURES: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), "png"),
    (lambda data: data.startswith(b"\xff\xd8\xff"), "jpeg"),
    (lambda data: data.startswith((b"GIF87a", b"GIF89a")), "gif"),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", "webp"),
    (lambda data: data.startswith(b"%PDF-"), "pdf"),
    (lambda data: data.startswith(_ZIP) and b"word/document.xml" in data, "docx"),
    (lambda data: data.startswith(_ZIP) and b"xl/workbook.xml" in data, "xlsx"),
    (lambda data: data.startswith(_OLE) and "WordDocument".encode("utf-16-le") in data, "doc"),
    (lambda data: data.startswith(_OLE) and "Workbook".encode("utf-16-le") in data, "xls"),
)
