"""The WSGI application: sends each request to Bedrock's operations, to `Admin` or to moto.

moto answers a few Bedrock paths itself and fails on others, so this module decides which requests
are for Bedrock: by the service that a request is signed for, and by the path if it is not signed.
A bucket named `model` stays reachable, because S3 requests are signed for S3.
"""

from __future__ import annotations

import io
import logging
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any
from urllib.parse import parse_qs

from bedrock_emulator.errors import DroppedConnectionError, ServiceError, invalid
from bedrock_emulator.http import admin
from bedrock_emulator.http.moto_app import MotoApp, send, xml_error
from bedrock_emulator.http.operations import CallFaults, Operations
from bedrock_emulator.http.wsgi import WsgiApp
from bedrock_emulator.models import service_quotas
from bedrock_emulator.s3.bucket_mirror import BucketMirror
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire import service_model
from bedrock_emulator.wire.request_parsing import HttpRequest
from bedrock_emulator.wire.serialization import HttpReply, error_reply

log = logging.getLogger(__name__)

# The credential scope of an AWS signature: access key / date / region / service / aws4_request.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_MAX_INVOKE_BODY = 25_000_000  # the service model's maximum for a body


class Dispatcher:
    """Sends each request to the part of the emulator that answers it."""

    def __init__(
        self,
        world: EmulatorState,
        operations: Operations,
        control: admin.Admin,
        moto: WsgiApp,
        mirror: BucketMirror | None = None,
    ) -> None:
        self._world = world
        self._operations = operations
        self._control = control
        self._moto = MotoApp(moto)
        self._mirror = mirror
        self._quotas = service_quotas.ServiceQuotas(world)
        self._get_slots = threading.BoundedSemaphore(2)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        try:
            return self._route(environ, start_response)
        except ServiceError as exc:
            return send(error_reply(exc, "-"), start_response)
        except (DroppedConnectionError, ConnectionResetError):
            raise
        except Exception:
            log.exception("a request failed")
            message = "The emulator failed; its log has the traceback."
            failed = ServiceError("InternalServerException", message)
            return send(error_reply(failed, "-"), start_response)

    def _route(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).split("?", 1)[0]
        if path.startswith(admin.PREFIX):
            reply = self._control.reply(
                self._read(environ, path, self._world.settings.max_control_body)
            )
            return send(reply, start_response)
        region, service = signed_for(environ)
        match = service_model.match(environ["REQUEST_METHOD"], path)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith(service_quotas.TARGET):
            body = self._read(environ, path, self._world.settings.max_control_body).body
            own = self._quotas.reply(target, body, region or self._world.settings.region)
            if own is not None:
                faults = CallFaults(self._world, target.removeprefix(service_quotas.TARGET))
                faults.before()
                faults.after()
                return send(own, start_response)
            environ["wsgi.input"] = io.BytesIO(body)
        if service not in (None, "bedrock") or (service is None and match is None):
            return self._to_moto(environ, start_response, service or "s3")
        if match is None or not match.route.is_served:
            name = f"{environ['REQUEST_METHOD']} {path}" if match is None else match.route.name
            return send(_unknown(name), start_response)
        limit = self._world.settings.max_control_body
        if match.route.name in service_model.OPERATIONS["bedrock-runtime"]:
            # A Converse body carries images in base64, which adds a third to their size.
            limit = _MAX_INVOKE_BODY * 4 // 3 + limit
        request = self._read(environ, path, limit)
        reply = self._operations.reply(match, request, region or self._world.settings.region)
        return send(reply, start_response)

    def _to_moto(
        self, environ: dict[str, Any], start_response: Callable[..., Any], service: str
    ) -> Iterable[bytes]:
        operation = f"{service}:{environ['REQUEST_METHOD']}"
        faults = CallFaults(self._world, operation, _text(environ["PATH_INFO"]))
        if service == "s3" and self._world.settings.s3_endpoint:
            text = "This emulator was started with --s3-endpoint: send S3 requests to that URL."
            return send(
                HttpReply(501, [("Content-Type", "text/plain")], text.encode()), start_response
            )
        length = content_length(environ)
        if length is None and _is_streamed(environ):
            # S3 requires the length of an object, too.
            message = "You must provide the Content-Length HTTP header."
            return send(xml_error(411, "MissingContentLength", message), start_response)
        if (length or 0) > self._world.settings.max_s3_body:
            return send(
                xml_error(400, "EntityTooLarge", "The object is too large."), start_response
            )
        try:
            faults.before()
        except ServiceError as exc:
            is_throttled = exc.code == "ThrottlingException"
            status, code = (503, "SlowDown") if is_throttled else (500, "InternalError")
            return send(xml_error(status, code, exc.message), start_response)
        # Read before the call, because moto's application changes `environ`.
        method, host = environ["REQUEST_METHOD"], str(environ.get("HTTP_HOST", ""))
        path, query = _text(environ["PATH_INFO"]), str(environ["QUERY_STRING"])
        # For each requested range moto reads the whole object, and SDKs request ten ranges at
        # once. At most two GETs run at a time: ten are not faster, but need much more memory.
        with self._get_slots if method == "GET" else nullcontext():
            chunks = self._moto.answer(environ, start_response, service)
        if self._mirror is not None and service == "s3":
            self._mirror.after(method, host, path, query)
        faults.after()
        return chunks

    def _read(self, environ: dict[str, Any], path: str, limit: int) -> HttpRequest:
        stream = environ["wsgi.input"]
        body = stream.read(limit + 1)
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
    """Return the length of a request's body in bytes, None if the request does not say it.

    A body in signed chunks has another header for the length of what is inside the chunks:
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    names = ("CONTENT_LENGTH", "HTTP_X_AMZ_DECODED_CONTENT_LENGTH")
    texts = (str(environ.get(name) or "") for name in names)
    return next((int(text) for text in texts if text.isascii() and text.isdigit()), None)


def _text(value: str) -> str:
    """Return text of a WSGI environment, which has bytes as Latin-1 (PEP 3333)."""
    return value.encode("latin-1").decode("utf-8", "replace")


def _is_streamed(environ: dict[str, Any]) -> bool:
    """Tell whether a request without a length may have a body: in chunks, or by HTTP/2."""
    if environ["SERVER_PROTOCOL"] == "HTTP/2":
        return bool(environ["REQUEST_METHOD"] == "PUT")
    return "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()


def signed_for(environ: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the Region and the service that a request is signed for, (None, None) if unsigned.

    The signature is in the Authorization header or, in a presigned URL, in the query. An API key
    names no Region.
    """
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    if authorization.startswith("Bearer "):  # an API key, which only Bedrock has
        return None, "bedrock"
    scope = _SCOPE.search(authorization)
    if scope is None:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        credential = query.get("X-Amz-Credential", [""])[0]
        scope = _SCOPE.search(f"Credential={credential}")
    return (scope.group(1), scope.group(2)) if scope else (None, None)


def _unknown(name: str) -> HttpReply:
    message = f"The emulator does not have the operation {name}."
    return error_reply(ServiceError("UnknownOperationException", message), "-")
