"""HTTP itself: both versions on one port, TLS, and bodies in every form that clients send."""

from __future__ import annotations

import json
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from bedrock_emulator import LocalBedrock

from .kit import CLAUDE, Kit, ask
from .raw_http import AUTHORIZATION

S3 = AUTHORIZATION.replace("/bedrock/", "/s3/")


class Http2:
    """A client that begins with HTTP/2 at once, or by ALPN with TLS."""

    def __init__(self, endpoint_url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint_url)
        host = str(parts.hostname)
        self._socket: socket.socket = socket.create_connection((host, parts.port or 80), 60)
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self._authority, self._scheme = parts.netloc, parts.scheme
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._events: list[h2.events.Event] = []
        self._h2.initiate_connection()
        self._socket.sendall(self._h2.data_to_send())

    def close(self) -> None:
        self._socket.close()

    def begin(self, method: str, path: str, body: bytes, authorization: str, **headers: str) -> int:
        """Send a request; return the number of its stream."""
        stream = self._h2.get_next_available_stream_id()
        names = {":method": method, ":path": path, ":authority": self._authority,
                 ":scheme": self._scheme, "authorization": authorization, **headers}  # fmt: skip
        self._h2.send_headers(stream, list(names.items()), end_stream=not body)
        while body:
            size = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if not size:  # the server has not read enough yet
                self._socket.sendall(self._h2.data_to_send())
                self._events += self._h2.receive_data(self._socket.recv(65536))
                continue
            piece, body = body[:size], body[size:]
            self._h2.send_data(stream, piece, end_stream=not body)
        self._socket.sendall(self._h2.data_to_send())
        return stream

    def until(self, stream: int, text: bytes) -> None:
        """Read until a stream has sent a text."""
        received = b""
        while text not in received:
            for event in self._h2.receive_data(self._socket.recv(65536)):
                if isinstance(event, h2.events.DataReceived) and event.stream_id == stream:
                    received += event.data
            self._socket.sendall(self._h2.data_to_send())

    def cancel(self, stream: int) -> None:
        """End a stream, as a client does that reads no more of it."""
        self._h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._socket.sendall(self._h2.data_to_send())

    def replies(self, *streams: int) -> dict[int, tuple[int, bytes]]:
        """Return status and body of these streams, when all have ended."""
        statuses: dict[int, int] = {}
        bodies = dict.fromkeys(streams, b"")
        open_streams = set(streams)
        while True:
            events, self._events = self._events, []
            for event in events:
                if isinstance(event, h2.events.ResponseReceived):
                    statuses[event.stream_id] = int(dict(event.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    self._h2.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, h2.events.StreamEnded):
                    open_streams.discard(event.stream_id)
            self._socket.sendall(self._h2.data_to_send())
            if not open_streams:
                return {stream: (statuses[stream], bodies[stream]) for stream in streams}
            data = self._socket.recv(65536)
            assert data, "the server has closed the connection"
            self._events = self._h2.receive_data(data)

    def say_goaway(self) -> None:
        """Say that no more streams will be opened."""
        # The library would take the connection for closed. 8 bytes: last stream 0, no error.
        self._socket.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8))

    def is_closed_by_server(self) -> bool:
        """End the client's side of the connection; tell whether the server ends its own."""
        self._socket.shutdown(socket.SHUT_WR)
        while data := self._socket.recv(65536):
            assert data
        return True

    def send(self, *request: Any, **headers: str) -> tuple[int, bytes]:
        stream = self.begin(*request, **headers)
        return self.replies(stream)[stream]


@pytest.fixture
def http2(kit: Kit) -> Iterator[Http2]:
    client = Http2(kit.local.endpoint_url)
    yield client
    client.close()


def test_http2_with_prior_knowledge(kit: Kit, http2: Http2) -> None:
    """Calls of the runtime, their streams and S3 work beside each other on one connection."""
    body = json.dumps(ask("hello")).encode()
    path = f"/model/{CLAUDE.replace(':', '%3A')}"
    call = http2.begin("POST", f"{path}/invoke", body, AUTHORIZATION)
    stream = http2.begin("POST", f"{path}/invoke-with-response-stream", body, AUTHORIZATION)
    large = b"x" * 3_000_000
    length = {"content-length": str(len(large))}
    put = http2.begin("PUT", f"/{kit.bucket}/large", large, S3, **length)
    replies = http2.replies(call, stream, put)
    assert [status for status, _ in replies.values()] == [200, 200, 200]
    assert json.loads(replies[call][1])["role"] == "assistant"
    assert replies[stream][1].count(b":event-type") > 5
    assert http2.send("GET", f"/{kit.bucket}/large", b"", S3) == (200, large)
    assert kit.s3.head_object(Bucket=kit.bucket, Key="large")["ContentLength"] == len(large)


def test_streams_end_after_goaway(http2: Http2) -> None:
    """JavaScript's SDK says so at the beginning of every event stream."""
    body = json.dumps(ask("hello")).encode()
    path = f"/model/{CLAUDE.replace(':', '%3A')}/invoke-with-response-stream"
    whole = http2.send("POST", path, body, AUTHORIZATION)
    stream = http2.begin("POST", path, body, AUTHORIZATION)
    http2.say_goaway()
    status, streamed = http2.replies(stream)[stream]
    assert (status, len(streamed)) == (whole[0], len(whole[1]))
    assert http2.is_closed_by_server()


def test_a_connection_ends_when_its_client_closes_it(kit: Kit) -> None:
    """It does not wait until it has been idle for long: connections would pile up."""
    parts = urlsplit(kit.local.endpoint_url)
    with socket.create_connection((str(parts.hostname), parts.port or 80), 60) as connection:
        connection.sendall(b"GET /_emulator/health HTTP/1.1\r\nHost: local\r\n\r\n")
        received = b""
        while b'"ok"' not in received:
            received += connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""


def test_http2_refuses_an_object_of_unknown_length(kit: Kit, http2: Http2) -> None:
    """As S3 does. The connection can be used again."""
    status, body = http2.send("PUT", f"/{kit.bucket}/unknown", b"x", S3)
    assert (status, b"MissingContentLength" in body) == (411, True)
    assert http2.send("GET", "/_emulator/health", b"", S3)[0] == 200


def test_tls_serves_api_keys_and_both_versions_of_http() -> None:
    """boto3 sends an API key by HTTPS only. The certificate is in the environment."""
    with LocalBedrock(tls=True, speed=0) as local:
        assert local.endpoint_url.startswith("https://127.0.0.1:")
        assert local.client("s3").list_buckets()["Buckets"] == []
        environment = local.environment()
        session = boto3.Session(region_name="us-east-1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_BEARER_TOKEN_BEDROCK", "a-key")
            for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
                patch.setenv(name, environment[name])
            runtime = session.client("bedrock-runtime")
            message = {"role": "user", "content": [{"text": "hi"}]}
            reply = runtime.converse(modelId=CLAUDE, messages=[message])
        assert reply["output"]["message"]["content"][0]["text"]
        (call,) = local.calls("Converse")
        assert call["error"] is None
        client = Http2(
            local.endpoint_url, ssl.create_default_context(cafile=environment["AWS_CA_BUNDLE"])
        )
        assert client.send("GET", "/_emulator/health", b"", S3)[0] == 200
        client.close()
        url = local.endpoint_url.replace("127.0.0.1", "localhost") + "/_emulator/health"
        trusted = ssl.create_default_context(cafile=environment["AWS_CA_BUNDLE"])
        assert urllib.request.urlopen(url, context=trusted).status == 200


def exchange(endpoint_url: str, *pieces: bytes) -> bytes:
    """Send bytes; return all that comes back until the server closes the connection."""
    parts = urlsplit(endpoint_url)
    with socket.create_connection((str(parts.hostname), parts.port or 80), 60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while data := connection.recv(65536):
            received += data
        return received


def head(method: str, path: str, *headers: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {S3}", *headers)
    return "\r\n".join((*lines, "Connection: close", "", "")).encode()


def test_one_100_continue_for_one_expect(kit: Kit) -> None:
    """A second one is taken for the reply, by Java's asynchronous client."""
    path = f"/{kit.bucket}/expected"
    reply = exchange(
        kit.local.endpoint_url,
        head("PUT", path, "Expect: 100-continue", "Content-Length: 5"),
        b"hello",
    )
    assert reply.count(b"HTTP/1.1 100") == 1
    assert reply.count(b"HTTP/1.1 200") == 1
    assert kit.s3.get_object(Bucket=kit.bucket, Key="expected")["Body"].read() == b"hello"


def test_a_streamed_object_in_signed_chunks(kit: Kit) -> None:
    """HTTP's chunks around S3's, whose length another header tells, as JavaScript's streams."""
    inner = b"5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n"
    reply = exchange(
        kit.local.endpoint_url,
        head(
            "PUT",
            f"/{kit.bucket}/streamed",
            "Transfer-Encoding: chunked",
            "Content-Encoding: aws-chunked",
            "X-Amz-Decoded-Content-Length: 5",
            "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        ),
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner),
    )
    assert reply.startswith(b"HTTP/1.1 200")
    assert kit.s3.get_object(Bucket=kit.bucket, Key="streamed")["Body"].read() == b"hello"


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        (b"2;name=value\r\n{}\r\n0\r\n\r\n", b"200"),
        (b"2\r\n{}\r\n0\r\nTrailer: yes\r\n\r\n", b"200"),
        (b"zz\r\n{}\r\n0\r\n\r\n", b"400"),
        (b"-2\r\n{}\r\n0\r\n\r\n", b"400"),
    ],
    ids=["extension", "trailer", "no number", "negative"],
)
def test_chunks(kit: Kit, chunks: bytes, status: bytes) -> None:
    """Extensions are allowed (RFC 9112, section 7.1.1). Bad ones are a 400, without a page."""
    request = head("PUT", "/_emulator/faults", "Transfer-Encoding: chunked")
    reply = exchange(kit.local.endpoint_url, request, chunks)
    assert reply.startswith(b"HTTP/1.1 " + status)
    assert b"<html" not in reply.lower()


def test_an_object_that_is_cut_short_is_not_stored(kit: Kit) -> None:
    """The client goes in the middle of a long body; the emulator lives on."""
    parts = urlsplit(kit.local.endpoint_url)
    path = f"/{kit.bucket}/cut"
    for size in (10, 2_000_000):
        with socket.create_connection((str(parts.hostname), parts.port or 80), 60) as connection:
            connection.sendall(head("PUT", path, "Content-Length: 3000000") + b"x" * size)
    assert kit.s3.list_objects_v2(Bucket=kit.bucket)["KeyCount"] == 0


def test_a_body_that_nobody_reads_does_not_break_the_connection(kit: Kit) -> None:
    """The next request on the connection is answered."""
    refused = head("POST", "/model-invocation-job", "Content-Length: 3000000").replace(
        S3.encode(), AUTHORIZATION.encode()
    )
    first = refused.replace(b"Connection: close", b"Connection: keep-alive") + b"x" * 3_000_000
    reply = exchange(kit.local.endpoint_url, first, head("GET", "/_emulator/health"))
    assert re.findall(rb"HTTP/1.1 (\d+)", reply) == [b"400", b"200"]
