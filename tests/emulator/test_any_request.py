"""Whatever comes over HTTP is answered in the form of AWS: no page, no internal error."""

from __future__ import annotations

import json
import re
import socket
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedrock_emulator.http.moto_app import MotoApp

from .kit import Kit
from .raw_http import AUTHORIZATION

_SERVICES = ("bedrock", "s3", "sqs", "events", "sts", "dynamodb", "service-quotas", "nothing")
_SIGNED = [AUTHORIZATION.replace("/bedrock/", f"/{service}/") for service in _SERVICES]
_METHODS = st.sampled_from(
    ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "ODD"]
)
_PATHS = [
    "/", "//", "/odd", "/odd/key", "/odd/key/key", "/..", "/%zz", "/%00", "/model/x/invoke",
    "/model/x/odd", "/models", "/guardrails", "/model-invocation-job/x/stop",
    "/foundation-models/x", "/async-invoke", "/v1/chat/completions", "/projects", "/_emulator",
    "/_emulator/odd", "/_emulator/clock/advance", "/_emulator/answers", "/favicon.ico",
    "/moto-api/", "/moto-api/reset", "/latest/meta-data/", "/123456789012/queue",
    "/odd?list-type=2&max-keys=x", "/odd?lifecycle", "/odd?uploads",
    "/odd/key?uploadId=x&partNumber=x", "/odd?versioning", "/odd?delete", "/?Action=Odd",
    "/?X-Amz-Credential=", "/inference-profiles?maxResults=x", "*", "http://127.0.0.1/odd",
    "http://[odd",
]  # fmt: skip
_SEGMENTS = st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "S")), max_size=9)
_AUTHORIZATIONS = st.sampled_from(
    [None, "Bearer key", "Bearer", "Basic eDp5", "AWS local:x", "AWS4-HMAC-SHA256 odd", *_SIGNED]
)
_TARGETS = "ServiceQuotasV20190624.ListServiceQuotas", "AmazonSQS.Odd", "AWSEvents.Odd", "Odd", "é"
_HEADERS = st.sampled_from(
    [
        *(f"X-Amz-Target: {target}" for target in _TARGETS),
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data",
        "Content-Type: application/xml",
        "X-Amz-Date: x",
        "X-Amz-Copy-Source: x",
        "X-Amz-Decoded-Content-Length: x",
        "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "Content-Encoding: aws-chunked",
        "Range: bytes=x",
        "Origin: http://127.0.0.1",
        "Upgrade: websocket",
    ]
)
_BODIES = st.sampled_from([b"", b"{}", b"[]", b"{", b"<a/>", b"<a", b"Action=Odd", b"[" * 20_000])


def reply_to(kit: Kit, request: bytes) -> tuple[int, str, bytes]:
    """Send bytes; return status, headers and body of the reply, which ends with the connection."""
    parts = urlsplit(kit.local.endpoint_url)
    with socket.create_connection((str(parts.hostname), parts.port or 80), 60) as connection:
        connection.sendall(request)
        received = b""
        while data := connection.recv(65536):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1.1 (\d{3}) ", head)
    assert status, received[:80]
    return int(status.group(1)), head.decode("latin-1").lower(), body


def has_the_form_of_aws(head: str, body: bytes) -> bool:
    """Tell whether a reply is an error in one of AWS's forms: JSON, or XML of S3 or a query."""
    if re.search(r"content-type: (application|text)/xml", head):
        return re.search(rb"<Code>[A-Za-z.]+</Code>", body) is not None
    if "x-amzn-errortype: " in head or '"__type"' in body.decode("latin-1"):
        return isinstance(json.loads(body), dict)
    return False


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    _METHODS,
    st.sampled_from(_PATHS) | _SEGMENTS.map("/".__add__),
    _AUTHORIZATIONS,
    st.sampled_from(["127.0.0.1", "odd.127.0.0.1", "odd.s3.amazonaws.com", "é", ""]),
    st.lists(_HEADERS, max_size=3),
    _BODIES,
)
def test_any_request_has_a_reply_of_aws(
    kit: Kit,
    method: str,
    path: str,
    authorization: str | None,
    host: str,
    headers: list[str],
    body: bytes,
) -> None:
    """Any method and path, signed for any service, with a key or unsigned.

    Status 501, which SDKs do not repeat, is that of an operation which the emulator lacks, and 503
    that of a request on which moto fails.
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "Connection: close"]
    signature = [f"Authorization: {authorization}"] if authorization else []
    length = f"Content-Length: {len(body)}"
    request = "\r\n".join([*lines, *signature, length, "", ""]).encode("latin-1", "replace") + body
    status, head, content = reply_to(kit, request)
    assert status < 500 or status in (501, 503), (status, content[:200])
    assert "text/html" not in head
    assert not re.search(rb"<html|Traceback \(most", content, re.IGNORECASE)
    is_refused_by_http = status == 400 and not content  # hypercorn's own reply
    if status >= 400 and method != "HEAD" and not is_refused_by_http:
        is_control = b'{"message":' in content and path.startswith("/_emulator")
        assert is_control or has_the_form_of_aws(head, content), (head, content[:200])


_QUERY = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("service", "media_type", "lacking", "failing"),
    [
        ("s3", "", b"<Code>NotImplemented<", b"<Code>ServiceUnavailable<"),
        ("sts", _QUERY, b"<Code>UnknownOperationException<", b"<Code>ServiceUnavailable<"),
        ("sqs", "application/x-amz-json-1.0", b'{"message":', b'{"message":'),
    ],
)
def test_what_moto_raises(service: str, media_type: str, lacking: bytes, failing: bytes) -> None:
    """SDKs repeat a request on which moto failed, but not one of an operation that moto lacks."""
    expected: list[tuple[Exception, int, bytes]] = [(NotImplementedError(), 501, lacking)]
    expected += [(exc, 503, failing) for exc in (ValueError("closed"), KeyError("x"), OSError(28))]
    for raised, status, code in expected:
        app, begin = Mock(side_effect=raised), Mock()
        environ = {"PATH_INFO": "/x", "REQUEST_METHOD": "GET", "CONTENT_TYPE": media_type}
        environ["HTTP_AUTHORIZATION"] = AUTHORIZATION
        body = b"".join(MotoApp(app).answer(environ, begin, service))
        shown, headers = begin.call_args.args
        head = "".join(f"{name}: {value}\r\n" for name, value in headers).lower()
        assert shown.startswith(f"{status} ")
        assert code in body
        assert has_the_form_of_aws(head, body)
        assert service != "sqs" or status == 501 or "x-amzn-errortype: serviceunavail" in head


_WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        (b"\x00\x01\x02\r\n\r\n", {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), {400}),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
        (b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n", {400}),
        (b"POST /models HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nx", {400}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", {400}),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (b"y" * 100_000), {404}),
        (b"GET /x HTTP/1.0\r\n\r\n", {404}),
        (b"GET /model/%ff/invoke HTTP/1.0\r\n\r\n", {404}),
        (_WEBSOCKET, {501}),
    ],
    ids=[
        *("garbage", "TLS", "no ASCII", "NUL", "no host", "bad header", "negative length"),
        *("two lengths", "long path", "HTTP/1.0", "no UTF-8", "websocket"),
    ],
)  # fmt: skip
def test_odd_bytes_have_a_reply(kit: Kit, request_bytes: bytes, statuses: set[int]) -> None:
    """The emulator goes on."""
    status, head, body = reply_to(kit, request_bytes)
    assert status in statuses
    assert not body or has_the_form_of_aws(head, body)
    assert kit.s3.list_buckets()["Buckets"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"\xff", b"[]", b'{"seconds": "x"}', b"9"])
@pytest.mark.parametrize("path", ["clock/advance", "faults", "answers"])
def test_any_body_of_a_control_call(kit: Kit, path: str, body: bytes) -> None:
    """It is refused with a message."""
    method = "POST" if path == "clock/advance" else "PUT"
    head = f"{method} /_emulator/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    status, _, content = reply_to(kit, request)
    assert status == 400
    assert json.loads(content)["message"]


def test_what_is_not_there_is_not_found(kit: Kit) -> None:
    """Also for HEAD, which Hadoop's S3A calls before it lists: it repeats a call that fails."""
    s3, missing = kit.s3, {"Bucket": kit.bucket, "Key": "missing"}
    calls = [
        lambda: s3.head_object(**missing),
        lambda: s3.get_object(**missing),
        lambda: s3.head_bucket(Bucket="no-bucket"),
        lambda: s3.head_object(Bucket="no-bucket", Key="x"),
        lambda: s3.list_objects_v2(Bucket="no-bucket"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as raised:
            call()
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert raised.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_what_moto_serves_beside_aws_is_not_served(kit: Kit) -> None:
    """Its reset would leave jobs without their buckets."""
    kit.s3.put_object(Bucket=kit.bucket, Key="kept", Body=b"x")
    for method, path in (("POST", "/moto-api/reset"), ("GET", "/moto-api/data.json")):
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        status, head, body = reply_to(kit, request)
        assert (status, has_the_form_of_aws(head, body)) == (501, True)
    assert kit.s3.get_object(Bucket=kit.bucket, Key="kept")["Body"].read() == b"x"
