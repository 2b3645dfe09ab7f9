"""Images and documents in a row: their bytes decide the format, and only s3:// is fetched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import (
    DOCUMENTS,
    IMAGES,
    Fetch,
    Media,
    fetches_nothing,
    read_all_media,
    read_media,
    uris_in,
)
from tests.unit.files import DOC, DOCX, GIF, JPEG, PDF, PNG, WEBP, XLS, XLSX, zipped

SIGNED = {
    "png": PNG,
    "jpeg": JPEG,
    "gif": GIF,
    "webp": WEBP,
    "pdf": PDF,
    "doc": DOC,
    "docx": DOCX,
    "xls": XLS,
    "xlsx": XLSX,
}
UNKNOWN = "is no image or document that is known by its bytes or its extension"


def holding(data: bytes) -> Fetch:
    return lambda uri: data


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("uri", ["s3://b/k", "s3://b/picture.txt", "s3://b/x.y/scan.JPG"])
def test_the_bytes_decide_the_format(name: str, uri: str) -> None:
    """In a column of bytes and in an object, whose name does not matter."""
    expected = Media(SIGNED[name], name)
    assert read_media(SIGNED[name], fetches_nothing) == expected
    assert read_media(bytearray(SIGNED[name]), fetches_nothing) == expected
    assert read_media(uri, holding(SIGNED[name])) == expected


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("notes.txt", "txt"),
        ("notes.MD", "md"),
        ("a.markdown", "md"),
        ("page.htm", "html"),
        ("page.html", "html"),
        ("export.2026-01.csv", "csv"),
    ],
)
def test_a_text_has_the_format_of_its_extension(name: str, format_: str) -> None:
    """A text has no magic number."""
    assert read_media(f"s3://b/a.b/{name}", holding(b"a,b\n1,2\n")).format == format_


@pytest.mark.parametrize(("name", "data"), [("docx", zipped("x")), ("xls", DOC[:40])])
def test_office_files_without_their_usual_parts_need_an_extension(name: str, data: bytes) -> None:
    """The file must still be a zip or an OLE file."""
    assert read_media(f"s3://b/k.{name}", holding(data)).format == name


@pytest.mark.parametrize(
    ("value", "data", "reason"),
    [
        (None, b"", "is null"),
        (b"", b"", "is empty"),
        ("s3://b/k.txt", b"", "is empty"),
        (b"plain text", b"", UNKNOWN),
        (b"BM\x00\x00", b"", UNKNOWN),
        (zipped("ppt/presentation.xml"), b"", UNKNOWN),
        ("s3://b/k", b"plain text", UNKNOWN),
        ("s3://b/k.pdf", b"plain text", UNKNOWN),
        ("s3://b/k.png", b"plain text", UNKNOWN),
        ("s3://b/k.docx", DOC[:40], UNKNOWN),
        ("s3://b/k.txt", b"a\0b", UNKNOWN),
        ("s3://b/txt", b"plain text", UNKNOWN),
        (7, b"", "is neither bytes nor an s3:// URI"),
        ({"a": 1}, b"", "is neither bytes nor an s3:// URI"),
        ([PNG], b"", "is an array; take one element, as in photos[0]"),
    ],
)
def test_an_unknown_value_gives_the_reason(value: object, data: bytes, reason: str) -> None:
    """The reason does not show the value."""
    with pytest.raises(Unrenderable) as caught:
        read_media(value, holding(data))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "../x.png",
        "http://169.254.169.254/latest",
        "https://b.s3.amazonaws.com/k",
        "S3://b/k",
        " s3://b/k",
        "s3://b",
        "s3://b/",
        "s3:///k",
        "s3://",
        "",
        "iVBORw0KGgo=",
    ],
)
def test_only_objects_in_s3_are_fetched(text: str) -> None:
    """A row must not be able to read files of the machine or to use its network."""

    def never(uri: str) -> bytes:
        raise AssertionError(f"{uri} is fetched")

    with pytest.raises(Unrenderable, match=r"^is not the s3:// URI of an object$"):
        read_media(text, never)
    assert uris_in([text]) == []


@given(st.text(min_size=1))
def test_a_key_may_be_any_text(key: str) -> None:
    """Also question marks, percent signs and spaces: an S3 URI is not parsed as a URL."""
    uri = f"s3://bucket/{key}"
    objects = {uri: PNG}
    assert read_media(uri, objects.__getitem__) == Media(PNG, "png")
    assert uris_in(uri) == [uri]


def test_arrays_are_read_in_order() -> None:
    """An empty array yields nothing. A null in an array rejects the row."""
    all_media = read_all_media([PNG, "s3://b/k", GIF], holding(JPEG))
    assert [media.format for media in all_media] == ["png", "jpeg", "gif"]
    assert list(read_all_media([], fetches_nothing)) == []
    assert uris_in([PNG, "s3://b/k", None]) == ["s3://b/k"]
    with pytest.raises(Unrenderable, match=r"^holds a null$"):
        list(read_all_media([PNG, None], fetches_nothing))


def test_every_format_has_its_media_type() -> None:
    """No two formats have the same media type."""
    formats = [*IMAGES, *DOCUMENTS]
    types = {Media(b"x", f).media_type for f in formats}
    assert len(types) == len(formats)
    assert Media(PNG, "png").media_type == "image/png"
