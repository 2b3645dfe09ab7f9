"""The WSGI application: Bedrock's operations and the emulator's own here, the rest to moto.

moto answers a few Bedrock paths itself and fails on others, so what is Bedrock's is decided here:
by the service a request is signed for, and by the path where it is not signed. A bucket that is
called `model` stays reachable, because S3 requests are signed for S3.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.http import admin
from bedrock_emulator.http.operations import DroppedConnectionError, Operations, Trouble
from bedrock_emulator.s3.bucket_mirror import BucketMirror
from bedrock_emulator.state.world import World
from bedrock_emulator.wire import service_model
from bedrock_emulator.wire.request_parsing import HttpRequest
from bedrock_emulator.wire.serialization import HttpReply, error_reply

log = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# A signature's credential: access key / date / region / service / aws4_request.
_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_MAX_INVOKE_BODY = 25_000_000  # the service model's maximum for a body
_DRAINED = 1_000_000


class Dispatcher:
    """Routes each request to the part that answers it."""

    def __init__(
        self,
        world: World,
        operations: Operations,
        own: admin.Admin,
        moto: WsgiApp,
        mirror: BucketMirror | None = None,
    ) -> None:
        self._world = world
        self._operations = operations
        self._own = own
        self._moto = moto
        self._mirror = mirror
        self._reads = threading.BoundedSemaphore(2)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        try:
            return self._route(environ, start_response)
        except DroppedConnectionError:
            return _drop(environ)
        except ServiceError as exc:
            return _send(error_reply(exc, "-"), start_response)

    def _route(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).split("?", 1)[0]
        if path.startswith(admin.PREFIX):
            reply = self._own.reply(
                self._read(environ, path, self._world.settings.max_control_body)
            )
            return _send(reply, start_response)
        region, service = signed_for(environ)
        match = service_model.match(environ["REQUEST_METHOD"], path)
        if service not in (None, "bedrock") or (service is None and match is None):
            return self._to_moto(environ, start_response, service or "s3")
        if match is None:
            return _send(_unknown(environ["REQUEST_METHOD"], path), start_response)
        limit = self._world.settings.max_control_body
        if match.route.name in service_model.OPERATIONS["bedrock-runtime"]:
            # A Converse body carries its images in base64, so it may be longer than they are.
            limit = _MAX_INVOKE_BODY * 4 // 3 + limit
        request = self._read(environ, path, limit)
        reply = self._operations.reply(match, request, region or self._world.settings.region)
        return _send(reply, start_response)

    def _to_moto(
        self, environ: dict[str, Any], start_response: Callable[..., Any], service: str
    ) -> Iterable[bytes]:
        trouble = Trouble(self._world, f"{service}:{environ['REQUEST_METHOD']}")
        if service == "s3" and self._world.settings.s3_endpoint:
            _drain(environ)
            gone = "This emulator was started with --s3-endpoint: ask S3 there."
            return _send(
                HttpReply(501, [("Content-Type", "text/plain")], gone.encode()), start_response
            )
        length = content_length(environ)
        if length is None and environ.get("wsgi.input_terminated"):
            # A body in chunks without an end in sight; S3 itself wants to know the length.
            message = "You must provide the Content-Length HTTP header."
            return _send(_xml_error(411, "MissingContentLength", message), start_response)
        if (length or 0) > self._world.settings.max_s3_body:
            _drain(environ)
            return _send(
                _xml_error(400, "EntityTooLarge", "The object is too large."), start_response
            )
        try:
            trouble.before()
        except ServiceError as exc:
            _drain(environ)
            busy = exc.code == "ThrottlingException"
            code = ("SlowDown", 503) if busy else ("InternalError", 500)
            return _send(_xml_error(code[1], code[0], exc.message), start_response)
        # Read first: moto's application changes the environment.
        method, path = environ["REQUEST_METHOD"], str(environ["PATH_INFO"])
        # moto reads a whole object for each range of it that is asked for, and SDKs ask for ten
        # at once. More than two of them at a time are no faster, but ten times as large.
        with self._reads if method == "GET" else nullcontext():
            answer = self._moto(environ, start_response)
        if self._mirror is not None and service == "s3":
            self._mirror.after(method, path)
        trouble.after()
        return answer

    def _read(self, environ: dict[str, Any], path: str, limit: int) -> HttpRequest:
        stream = environ["wsgi.input"]
        length = content_length(environ)
        if length is None:
            # Only a chunked body has no length and yet something to read.
            chunked = environ.get("wsgi.input_terminated")
            body = stream.read(limit + 1) if chunked else b""
        else:
            body = stream.read(min(length, limit + 1))
        if len(body) > limit:
            raise invalid(f"The request body is longer than the maximum of {limit} bytes.")
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        return HttpRequest(
            method=environ["REQUEST_METHOD"],
            path=path,
            query=environ.get("QUERY_STRING", ""),
            headers=headers,
            body=body,
        )


def content_length(environ: dict[str, Any]) -> int | None:
    """Return the length a request gives for its body, None if it gives none that is a length."""
    text = str(environ.get("CONTENT_LENGTH") or "")
    return int(text) if text.isascii() and text.isdigit() else None


def signed_for(environ: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return Region and service a request is signed for, in its header or a presigned URL."""
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        credential = query.get("X-Amz-Credential", [""])[0]
        found = _SCOPE.search(f"Credential={credential}")
    return (found.group(1), found.group(2)) if found else (None, None)


def _unknown(method: str, path: str) -> HttpReply:
    message = f"The emulator does not have the operation {method} {path.split('/')[1]}."
    return error_reply(ServiceError("UnknownOperationException", message), "-")


def _xml_error(status: int, code: str, message: str) -> HttpReply:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return HttpReply(status, [("Content-Type", "application/xml")], body)


def _send(reply: HttpReply, start_response: Callable[..., Any]) -> Iterable[bytes]:
    phrase = HTTPStatus(reply.status).phrase
    if isinstance(reply.body, bytes):
        headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {phrase}", headers)
        return [reply.body]
    start_response(f"{reply.status} {phrase}", reply.headers)
    return reply.body


def _drain(environ: dict[str, Any]) -> None:
    """Read a body that will not be used, so that a client that is still sending sees the reply."""
    left = content_length(environ) or 0
    while left > 0:
        chunk = environ["wsgi.input"].read(min(left, _DRAINED))
        if not chunk:
            return
        left -= len(chunk)


def _drop(environ: dict[str, Any]) -> Iterable[bytes]:
    """Close the connection without a reply."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("dropped by the fault script")
