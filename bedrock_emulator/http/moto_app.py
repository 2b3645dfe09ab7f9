"""moto as one application: all that it answers has the form of a reply of AWS.

moto is written for requests of SDKs. For others it raises what its code happens to raise, or its
web framework replies with a page of HTML.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.http.wsgi import WsgiApp
from bedrock_emulator.wire.serialization import HttpReply, error_reply

log = logging.getLogger(__name__)

# Where moto serves its dashboard, a reset and the metadata of instances, however requests are
# signed. They are no part of the emulator, which has a reset of its own.
_OWN_PATHS = ("/moto-api", "/favicon.ico", "/latest/meta-data/", "/latest/api/")
_S3_CODES = {
    400: "InvalidRequest",
    403: "AccessForbidden",
    405: "MethodNotAllowed",
    413: "EntityTooLarge",
}
_PERMANENT_REDIRECT = 308


class MotoApp:
    """Calls moto for one request."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any], service: str
    ) -> Iterable[bytes]:
        """Return moto's reply, or an error of AWS if moto has none or replies with a page.

        Raises ConnectionResetError if the client goes while its request is read.

        service: that the request is signed for, `s3` if it is not signed
        """
        started: list[Any] = []

        def begin(*values: Any) -> None:
            started[:] = values

        path, form = str(environ["PATH_INFO"]), str(environ.get("CONTENT_TYPE", ""))
        if path.startswith(_OWN_PATHS):
            return send(_error(501, service, form), start_response)
        try:
            chunks = self._app(environ, begin)
        except ConnectionResetError:
            raise
        except NotImplementedError:
            return send(_error(501, service, form), start_response)
        except ExpatError:
            message = "The XML that you provided is not well-formed."
            return send(xml_error(400, "MalformedXML", message), start_response)
        except Exception:
            # Of an SDK's request: a failure of the emulator, which may not happen again.
            log.exception("moto failed on a request to %s", service)
            reply = (
                _unavailable(service, form) if _is_signed(environ) else _error(501, service, form)
            )
            return send(reply, start_response)
        status = int(str(started[0]).split(" ", 1)[0])
        if (status >= 400 or status == _PERMANENT_REDIRECT) and _is_page(started[1]):
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
            if service == "s3" and environ["REQUEST_METHOD"] == "HEAD":
                # It has no body that could be a page. S3 tells by the status what is not there.
                empty = HttpReply(status, [("Content-Type", "application/xml")], b"")
                return send(empty, start_response)
            return send(_error(status, service, form), start_response)
        start_response(*started)
        return chunks


def _is_signed(environ: dict[str, Any]) -> bool:
    """Tell whether an SDK may have sent a request: by a header, or as a presigned URL."""
    return "HTTP_AUTHORIZATION" in environ or "Signature=" in str(environ.get("QUERY_STRING", ""))


def _is_page(headers: list[tuple[str, str]]) -> bool:
    return any(n.lower() == "content-type" and v.startswith("text/html") for n, v in headers)


def _error(status: int, service: str, form: str) -> HttpReply:
    """Return the error of a service for what moto does not have: status 501 for most.

    form: the media type of the request, which tells AWS's query protocol from the JSON protocols
    """
    if service == "s3" and status in _S3_CODES:
        text = "The emulator does not take this request."
        return xml_error(status, _S3_CODES[status], text)
    message = f"The emulator does not have this operation of {service}."
    codes = "NotImplemented", "UnknownOperationException", "UnknownOperationException"
    return _in_form(501, codes, message, service, form)


def _unavailable(service: str, form: str) -> HttpReply:
    """Return the error of a service that SDKs answer by the same request again."""
    message = "The emulator failed; its log has the traceback."
    codes = "ServiceUnavailable", "ServiceUnavailable", "ServiceUnavailableException"
    return _in_form(503, codes, message, service, form)


def _in_form(
    status: int, codes: tuple[str, str, str], message: str, service: str, form: str
) -> HttpReply:
    """Return an error in the form of a service.

    codes: of the error in S3, in AWS's query protocol and in the JSON protocols, whose status is
        that of the service model
    """
    s3, query, json = codes
    if service == "s3":
        return xml_error(status, s3, message)
    if not form.startswith("application/x-www-form-urlencoded"):
        return error_reply(ServiceError(json, message), "-")
    text = f"<ErrorResponse>{_xml(query, message)}<RequestId>-</RequestId></ErrorResponse>"
    return HttpReply(status, [("Content-Type", "text/xml")], text.encode())


def xml_error(status: int, code: str, message: str) -> HttpReply:
    """Return an error in the form of S3."""
    return HttpReply(status, [("Content-Type", "application/xml")], _xml(code, message).encode())


def _xml(code: str, message: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"


def send(reply: HttpReply, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Begin a reply as a WSGI application does; return its body."""
    status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    if isinstance(reply.body, bytes):
        start_response(status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
        return [reply.body]
    start_response(status, reply.headers)
    return reply.body
