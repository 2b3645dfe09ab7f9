"""S3: objects that are replaced or deleted while other requests use them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.models import FakeMultipart

from bedrock_emulator.s3.moto_instances import forget_instances
from bedrock_emulator.s3.objects import MotoObjects
from bedrock_emulator.settings import ACCOUNT_ID

from .kit import Kit

_CONTENTS = [bytes([number]) * 300_000 for number in range(4)]


@pytest.fixture
def backend() -> Iterator[Any]:
    """Yield moto's buckets in this process: a request has an object of them when it found it."""
    from moto.s3.models import s3_backends

    forget_instances()
    MotoObjects()
    moto: Any = s3_backends[ACCOUNT_ID]["aws"]
    moto.create_bucket("replaced", "us-east-1")
    yield moto
    moto.get_bucket("replaced").keys.clear()
    moto.delete_bucket("replaced")


def test_a_request_has_the_object_that_it_found(backend: Any) -> None:
    """Its content and its ETag, after another put and after a delete. Then the file is closed."""
    first = backend.put_object("replaced", "x", b"first")
    second = backend.put_object("replaced", "x", b"second")
    backend.delete_object("replaced", "x")
    assert backend.get_object("replaced", "x") is None
    for key, content in ((first, b"first"), (second, b"second")):
        assert key.value == content
        assert key.etag == f'"{hashlib.md5(content).hexdigest()}"'
    files = [first._value_buffer, second._value_buffer]
    del first, second, key
    assert [file.closed for file in files] == [True, True]


def test_parts_are_closed(backend: Any) -> None:
    """One that is uploaded again, and all when they become an object. It is closed, too."""
    bucket = backend.get_bucket("replaced")
    bucket.multiparts["id"] = upload = FakeMultipart("x", {}, ACCOUNT_ID, "us-east-1")
    parts = [upload.set_part(1, body) for body in (b"old", b"new")]
    files = [part._value_buffer for part in parts]
    etag = parts[1].etag
    del parts, upload
    assert [file.closed for file in files] == [True, False]
    backend.complete_multipart_upload("replaced", "id", [(1, etag)])
    files.append(backend.get_object("replaced", "x")._value_buffer)
    assert backend.get_object("replaced", "x").value == b"new"
    assert [file.closed for file in files] == [True, True, False]
    backend.put_object("replaced", "x", b"another")
    assert [file.closed for file in files] == [True, True, True]


def test_many_clients_put_and_get_one_object(kit: Kit) -> None:
    """No request fails, and each reply has the ETag of what was put or got. Nobody repeats."""
    name = {"Bucket": kit.bucket, "Key": "shared"}
    kit.s3.put_object(**name, Body=_CONTENTS[0])
    etags = {f'"{hashlib.md5(content).hexdigest()}"': content for content in _CONTENTS}

    def put(content: bytes) -> None:
        for _ in range(15):
            assert etags[kit.s3.put_object(**name, Body=content)["ETag"]] == content

    def get(options: dict[str, str]) -> None:
        for _ in range(15):
            reply = kit.s3.get_object(**name, **options)
            content = reply["Body"].read()
            assert len(content) == (10 if options else len(_CONTENTS[0]))
            assert etags[reply["ETag"]].startswith(content)

    def look() -> None:
        for _ in range(15):
            assert kit.s3.head_object(**name)["ETag"] in etags
            (found,) = kit.s3.list_objects_v2(Bucket=kit.bucket)["Contents"]
            assert found["ETag"] in etags

    with ThreadPoolExecutor(10) as pool:
        running = [pool.submit(put, content) for content in _CONTENTS]
        running += [pool.submit(get, {}), pool.submit(get, {}), pool.submit(look)]
        running += [pool.submit(get, {"Range": "bytes=0-9"})]
        for each in running:
            each.result()


def test_an_object_comes_and_goes(kit: Kit) -> None:
    """It is there, whole, or it is not found; SDKs repeat what fails."""
    s3 = kit.local.client("s3")
    name = {"Bucket": kit.bucket, "Key": "comes-and-goes"}

    def write() -> None:
        for _ in range(25):
            s3.put_object(**name, Body=_CONTENTS[1])
            s3.delete_object(**name)

    def read() -> None:
        for _ in range(25):
            try:
                assert s3.get_object(**name)["Body"].read() == _CONTENTS[1]
            except ClientError as exc:
                assert exc.response["Error"]["Code"] == "NoSuchKey"  # noqa: PT017

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(act) for act in (write, read, write, read)]:
            each.result()
