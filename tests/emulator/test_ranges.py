"""S3: ranges of objects, which are read without the rest of the object."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from bedrock_emulator.s3.moto_memory import RangedValue

from .kit import Kit


@pytest.mark.parametrize(
    ("asked", "content", "shown"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=4-2", b"0123456789", None),
        ("bytes=0-1,4-5", b"0123456789", None),
        ("bytes=x", b"0123456789", None),
    ],
)
def test_a_range_has_its_bytes(kit: Kit, asked: str, content: bytes, shown: str | None) -> None:
    """A range in a form that S3 does not take is the whole object."""
    kit.s3.put_object(Bucket=kit.bucket, Key="digits", Body=b"0123456789")
    reply = kit.s3.get_object(Bucket=kit.bucket, Key="digits", Range=asked)
    assert reply["Body"].read() == content
    assert reply.get("ContentRange") == shown
    assert reply["ContentLength"] == len(content)


@pytest.mark.parametrize(("body", "asked"), [(b"", "bytes=0-9"), (b"abc", "bytes=3-9")])
def test_a_range_behind_the_end_is_an_error(kit: Kit, body: bytes, asked: str) -> None:
    """As of an empty object. The next request without a range has the whole object."""
    kit.s3.put_object(Bucket=kit.bucket, Key="short", Body=body)
    with pytest.raises(ClientError) as caught:
        kit.s3.get_object(Bucket=kit.bucket, Key="short", Range=asked)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416
    assert kit.s3.get_object(Bucket=kit.bucket, Key="short")["Body"].read() == body


def test_a_large_object_is_downloaded_in_parts(kit: Kit, tmp_path: Path) -> None:
    """As boto3 does from 8 MB on; what is uploaded in parts is read in ranges, too."""
    data = bytes(range(256)) * 80_000
    (tmp_path / "in").write_bytes(data)
    kit.s3.upload_file(str(tmp_path / "in"), kit.bucket, "large")
    kit.s3.download_file(kit.bucket, "large", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data


class _Buffer:
    """Notes what is read."""

    def __init__(self, size: int) -> None:
        self.read_bytes: list[int] = []
        self._left = size

    def seek(self, place: int) -> None:
        self._left -= place

    def read(self, size: int) -> bytes:
        self.read_bytes.append(size)
        return bytes(min(size, self._left))


def test_only_the_bytes_of_a_range_are_read() -> None:
    """Not the whole object, which may have a gigabyte."""
    buffer = _Buffer(10**9)
    key = SimpleNamespace(contentsize=10**9, lock=threading.RLock(), _value_buffer=buffer)
    value = RangedValue(key)
    assert len(value) == 10**9
    assert len(value[10**9 - 7 : 10**9 + 50]) == 7
    assert buffer.read_bytes == [7]
