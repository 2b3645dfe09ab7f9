"""S3: uploads in parts, which become an object with one copy of their content."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import FakeMultipart

from bedrock_emulator.s3.objects import MotoObjects
from bedrock_emulator.settings import ACCOUNT_ID

from .kit import Kit

PART = 5 * 1024 * 1024
# The last one is shorter, and one is longer than what S3 needs.
PARTS = [b"a" * PART, b"b" * (PART + 3), b"c" * PART, b"the end"]
WHOLE = b"".join(PARTS)


def upload(
    kit: Kit, key: str, parts: dict[int, bytes], **options: str
) -> tuple[dict[str, Any], Any]:
    """Upload parts; return what identifies the upload, and the parts for its completion."""
    name = {"Bucket": kit.bucket, "Key": key}
    begun = name | {"UploadId": kit.s3.create_multipart_upload(**name, **options)["UploadId"]}
    made = []
    for number, body in parts.items():
        reply = kit.s3.upload_part(**begun, PartNumber=number, Body=body)
        sums = {n: v for n, v in reply.items() if n.startswith("Checksum") and n[8:] == "CRC32"}
        made.append({"PartNumber": number, "ETag": reply["ETag"], **sums})
    return begun, {"Parts": made}


def test_parts_become_an_object(kit: Kit) -> None:
    """In the order of their numbers; a range of it may be in two parts."""
    shuffled = {number: PARTS[number - 1] for number in (4, 2, 1, 3)}
    begun, made = upload(kit, "whole", shuffled, ChecksumAlgorithm="CRC32")
    made["Parts"].sort(key=lambda part: part["PartNumber"])
    reply = kit.s3.complete_multipart_upload(**begun, MultipartUpload=made)
    digests = b"".join(hashlib.md5(part).digest() for part in PARTS)
    sums = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in PARTS)
    assert reply["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-4"'
    name = {"Bucket": kit.bucket, "Key": "whole"}
    assert checksum_of(kit, "whole") == base64_of(zlib.crc32(sums))
    assert kit.s3.get_object(**name)["Body"].read() == WHOLE
    middle = kit.s3.get_object(**name, Range=f"bytes={PART - 2}-{PART + 1}")["Body"].read()
    assert middle == b"aabb"
    for number, content in enumerate(PARTS, 1):
        part = kit.s3.head_object(**name, PartNumber=number)
        assert (part["ContentLength"], part["PartsCount"]) == (len(content), len(PARTS))
    assert kit.s3.head_object(**name)["ContentLength"] == len(WHOLE)


def test_the_whole_of_an_upload_may_have_one_checksum(kit: Kit) -> None:
    """As CRC64NVME always has."""
    begun, made = upload(
        kit,
        "full",
        dict(enumerate(PARTS, 1)),
        ChecksumAlgorithm="CRC32",
        ChecksumType="FULL_OBJECT",
    )
    kit.s3.complete_multipart_upload(**begun, MultipartUpload=made)
    assert checksum_of(kit, "full") == base64_of(zlib.crc32(WHOLE))


def checksum_of(kit: Kit, key: str) -> str:
    """Return the CRC-32 of an object, without the number of its parts."""
    head = kit.s3.head_object(Bucket=kit.bucket, Key=key, ChecksumMode="ENABLED")
    checksum: str = head["ChecksumCRC32"]
    return checksum.split("-")[0]


def base64_of(checksum: int) -> str:
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("parts", "change", "code"),
    [
        ({1: b"small", 2: b"end"}, lambda made: made, "EntityTooSmall"),
        (
            {1: PARTS[0], 2: b"end"},
            lambda made: [*made[::-1], dict(made[0], PartNumber=9)],
            "InvalidPart",
        ),
        ({1: PARTS[0]}, lambda made: [dict(made[0], ETag='"0"')], "InvalidPart"),
        ({1: PARTS[0]}, lambda made: [dict(made[0], PartNumber=2)], "InvalidPart"),
        ({1: PARTS[0]}, lambda _: [], "MalformedXML"),
    ],
)
def test_a_completion_that_does_not_fit_is_refused(
    kit: Kit, parts: dict[int, bytes], change: Any, code: str
) -> None:
    """The parts stay, and may be completed."""
    begun, made = upload(kit, "refused", parts)
    name = {"Bucket": kit.bucket, "Key": "refused"}
    with pytest.raises(ClientError) as caught:
        kit.s3.complete_multipart_upload(**begun, MultipartUpload={"Parts": change(made["Parts"])})
    assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="404"):
        kit.s3.head_object(**name)
    if code != "EntityTooSmall":
        kit.s3.complete_multipart_upload(**begun, MultipartUpload=made)
        assert kit.s3.get_object(**name)["Body"].read() == b"".join(parts.values())
        kit.s3.delete_object(**name)
    else:
        kit.s3.abort_multipart_upload(**begun)


def test_a_copy_has_the_content_after_its_original_is_deleted(kit: Kit) -> None:
    begun, made = upload(kit, "original", {1: PARTS[0], 2: b"end"})
    kit.s3.complete_multipart_upload(**begun, MultipartUpload=made)
    source = {"Bucket": kit.bucket, "Key": "original"}
    kit.s3.copy_object(Bucket=kit.bucket, Key="copy", CopySource=source)
    kit.s3.delete_object(**source)
    read = kit.s3.get_object(Bucket=kit.bucket, Key="copy")["Body"].read()
    assert read == PARTS[0] + b"end"


def test_of_two_completions_at_once_one_has_the_parts() -> None:
    """The other one finds no upload: an SDK that repeats a request must not get an empty object."""
    MotoObjects()
    upload: Any = FakeMultipart("x", {}, ACCOUNT_ID, "us-east-1")
    named = [(1, upload.set_part(1, b"content").etag)]
    value, _, _ = upload.complete(named)
    with pytest.raises(NoSuchUpload):
        upload.complete(named)
    with tempfile.SpooledTemporaryFile() as buffer:
        value.write_to(buffer)
        buffer.seek(0)
        assert (len(value), buffer.read()) == (7, b"content")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_an_object_of_many_parts_is_one_open_file(kit: Kit) -> None:
    """Else many shards would reach the limit of open files."""
    files = Path(f"/proc/{kit.local.pid}/fd")
    before = len(list(files.iterdir()))
    begun, made = upload(kit, "many", dict.fromkeys(range(1, 7), b"x" * PART))
    kit.s3.complete_multipart_upload(**begun, MultipartUpload=made)
    assert len(list(files.iterdir())) <= before + 2
