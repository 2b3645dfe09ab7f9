"""S3's conditional writes: what each reply means, and whose put an object is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bedrock_spark.aws import clients
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.retry import CONFLICT_ATTEMPTS
from bedrock_spark.errors import (
    AlreadyExistsError,
    ObjectChangedError,
    StorageAccessError,
    StorageUnavailableError,
)
from bedrock_spark.storage import S3Storage
from tests.unit.fakes import CannedHttp, FakeClock
from tests.unit.moto_s3 import s3_in_process

Canned = Callable[..., CannedHttp]
Put = Callable[[S3Storage], Any]
AWS = AwsSettings("us-east-1", "http://localhost:9")
MARK = "5" * 32
WRITTEN = (200, b"", {"ETag": '"new"'})


def failure(status: int, code: str) -> tuple[int, bytes]:
    return status, f"<Error><Code>{code}</Code><Message>x</Message></Error>".encode()


def head(mark: str) -> tuple[int, bytes, dict[str, str]]:
    """Return the reply to a HEAD request of an object that this put wrote."""
    return 200, b"", {"ETag": '"new"', "x-amz-meta-bedrock-spark-put": mark}


TAKEN = failure(412, "PreconditionFailed")
UNDECIDED = failure(409, "ConditionalRequestConflict")
# Each conditional write, the header of its condition, and the error if the condition is false.
PUTS = [
    pytest.param(lambda s: s.create("k", b"x"), "If-None-Match", AlreadyExistsError, id="create"),
    pytest.param(
        lambda s: s.replace("k", b"x", None), "If-None-Match", ObjectChangedError, id="first"
    ),
    pytest.param(
        lambda s: s.replace("k", b"x", '"old"'), "If-Match", ObjectChangedError, id="replace"
    ),
]


@pytest.fixture
def storage(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> S3Storage:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's own retries
    monkeypatch.setattr("bedrock_spark.storage.s3.secrets.token_hex", lambda _: MARK)
    return S3Storage("s3://bucket/run", AWS, clock)


@pytest.fixture
def client() -> Any:
    return clients.s3_client(AWS)


@pytest.mark.parametrize(("put", "header", "refusal"), PUTS)
@pytest.mark.parametrize(
    "undecided", [UNDECIDED, failure(409, "OperationAborted"), (409, b"")], ids=str
)
def test_a_409_is_tried_again(
    storage: S3Storage, client: Any, canned: Canned, clock: FakeClock,
    put: Put, header: str, refusal: type[Exception], undecided: Any,
) -> None:  # fmt: skip
    """Another write runs at the same time: S3 has decided nothing. The condition stays the same."""
    http = canned(client, undecided, undecided, WRITTEN)
    put(storage)
    assert len(clock.waits) == 2
    assert [r.method for r in http.sent] == ["PUT"] * 3
    assert len({r.headers[header] for r in http.sent}) == 1
    assert {r.headers["x-amz-meta-bedrock-spark-put"] for r in http.sent} == {MARK.encode()}


@pytest.mark.parametrize(("put", "header", "refusal"), PUTS)
def test_a_409_that_stays_is_no_decision(
    storage: S3Storage, client: Any, canned: Canned, put: Put, header: str,
    refusal: type[Exception],
) -> None:  # fmt: skip
    """Neither "exists" nor "changed": nobody may conclude that another process was first."""
    canned(client, *[UNDECIDED] * CONFLICT_ATTEMPTS)
    with pytest.raises(StorageUnavailableError, match=r"s3://bucket/run/k: was not written"):
        put(storage)


@pytest.mark.parametrize(("put", "header", "refusal"), PUTS)
@pytest.mark.parametrize("before", [[], [UNDECIDED], [(500, b"")]], ids=["", "409", "500"])
@pytest.mark.parametrize(
    "other", [head("6" * 32), (200, b"", {"ETag": '"e"'}), (404, b"")], ids=str
)
def test_a_412_is_final(
    storage: S3Storage, client: Any, canned: Canned, put: Put, header: str,
    refusal: type[Exception], before: list[Any], other: Any,
) -> None:  # fmt: skip
    """If the object has not the mark of this put: another process may write the same bytes."""
    http = canned(client, *before, TAKEN, other)
    with pytest.raises(refusal):
        put(storage)
    assert http.sent[0].headers[header]


@pytest.mark.parametrize(("put", "header", "refusal"), PUTS)
@pytest.mark.parametrize("lost", [(500, b""), UNDECIDED], ids=["500", "409"])
def test_our_own_put_is_recognised(
    storage: S3Storage, client: Any, canned: Canned, put: Put, header: str,
    refusal: type[Exception], lost: Any,
) -> None:  # fmt: skip
    """If its reply was lost, the repeated put is refused because the first one had its effect."""
    http = canned(client, lost, TAKEN, head(MARK))
    assert put(storage) in (None, '"new"')
    assert [r.method for r in http.sent] == ["PUT", "PUT", "HEAD"]


def test_other_failures_are_no_decision(storage: S3Storage, client: Any, canned: Canned) -> None:
    """Such as a missing permission, also when it is asked whose put the object is."""
    canned(client, failure(403, "AccessDenied"), TAKEN, (403, b""))
    for _ in range(2):
        with pytest.raises(StorageAccessError):
            storage.create("k", b"x")


def test_of_two_creates_with_the_same_bytes_one_fails() -> None:
    """In S3 as moto has it."""
    with s3_in_process():
        one, other = (S3Storage("s3://bucket/run", AwsSettings("us-east-1")) for _ in range(2))
        one.create("claim", b"same")
        with pytest.raises(AlreadyExistsError):
            other.create("claim", b"same")
        version = one.replace("lease", b"same", None)
        with pytest.raises(ObjectChangedError):
            other.replace("lease", b"same", None)
        assert one.replace("lease", b"next", version) != version
