"""Copies of objects in S3 as files: how many calls wait for others, and what may go wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from bedrock_spark.errors import ObjectChangedError, StorageError
from bedrock_spark.storage import s3_download
from bedrock_spark.storage.s3_download import Download

RANGE = 10
DATA = bytes(range(256))


class Body:
    """The bytes of a reply, which break off after some of them."""

    def __init__(self, data: bytes, error: Exception | None, after: int) -> None:
        self._data, self._error, self._after = data, error, after

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        data = self._data if self._error is None else self._data[: self._after]
        yield from (data[start : start + 3] for start in range(0, len(data), 3))
        if self._error is not None:
            raise self._error


class Client:
    """An S3 of one object. `before` is called before each call, with its number."""

    def __init__(self, data: bytes) -> None:
        self.data, self.version = data, "v1"
        self.ranges: list[str] = []
        self.broken: list[Exception] = []
        self.after = 0
        self.before: Callable[[int], None] = lambda number: None

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:  # noqa: N803
        self.before(len(self.ranges))
        self.ranges.append(Range)
        data, more = self.data, {}
        if match := re.fullmatch(r"bytes=(\d+)-(\d+)", Range):
            start, stop = int(match[1]), min(int(match[2]) + 1, len(data))
            if start >= len(data):
                raise ClientError({"Error": {"Code": "InvalidRange"}}, "GetObject")
            data = data[start:stop]
            more = {"ContentRange": f"bytes {start}-{stop - 1}/{len(self.data)}"}
        error = self.broken.pop() if self.broken else None
        body = Body(data, error, self.after)
        return {"Body": body, "ETag": self.version, "ContentLength": len(data), **more}


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_download, "RANGE_BYTES", RANGE)


def download(client: Client, path: Path, size: int | None) -> bytes:
    made: Any = client
    Download(made, "bucket", "run/k", "s3://bucket/run/k", "k", size).into(path)
    return path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, RANGE - 1, RANGE, RANGE + 1, 3 * RANGE, 25 * RANGE + 6])
@pytest.mark.parametrize("is_known", [False, True])
def test_the_file_has_the_bytes_of_the_object(tmp_path: Path, size: int, is_known: bool) -> None:
    """No byte is read twice, and a small object whose size is known is read without a range."""
    client = Client(DATA[:size])
    known = size if is_known and size else None
    assert download(client, tmp_path / "f", known) == DATA[:size]
    assert len(client.ranges) == max(1, -(-size // RANGE))
    assert ("" in client.ranges) == (known is not None and size <= RANGE)


@pytest.mark.parametrize("after", [0, 1, 7, RANGE])
@pytest.mark.parametrize(
    "error",
    [
        ResponseStreamingError(error="reset"),
        IncompleteReadError(actual_bytes=1, expected_bytes=9),
    ],
)
def test_bytes_that_break_off_are_read_on_from_there(
    tmp_path: Path, after: int, error: Exception
) -> None:
    """Whatever arrived is not read again. It gives up after some tries, and leaves no file."""
    client = Client(DATA[:RANGE])
    client.after, client.broken = after, [error]
    assert download(client, tmp_path / "f", RANGE) == DATA[:RANGE]
    rest = {0: [""], RANGE: []}.get(after, [f"bytes={after}-{RANGE - 1}"])
    assert client.ranges == ["", *rest]
    client.after, client.broken = 0, [error] * 5
    with pytest.raises(type(error)):
        download(client, tmp_path / "g", RANGE)
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("new", [DATA[::-1], DATA[:RANGE]])
def test_bytes_of_two_versions_are_never_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool, new: bytes
) -> None:
    """An object that is replaced while its ranges are read is an error."""
    monkeypatch.setattr(s3_download, "_AT_ONCE", 1)
    client = Client(DATA)

    def replace(number: int) -> None:
        if number == 5:
            client.data, client.version = new, "v2"

    client.before = replace
    with pytest.raises((ObjectChangedError, StorageError), match="s3://bucket/run/k: "):
        download(client, tmp_path / "f", len(DATA) if is_known else None)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("found", [0, 1, RANGE, 5 * RANGE, 5 * RANGE + 1, 6 * RANGE])
def test_an_object_of_another_size_than_was_written_is_an_error(tmp_path: Path, found: int) -> None:
    """It says both sizes."""
    client = Client(DATA[:found])
    with pytest.raises(StorageError, match=f"has {found} bytes, not 53") as caught:
        download(client, tmp_path / "f", 53)
    assert caught.value.key == "k"
