"""A raw HTTP client: no SDK checks or corrects what it sends."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from botocore.model import OperationModel

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20240501/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=host, Signature=00"
)


@dataclass(frozen=True)
class Reply:
    """Status, headers by lower-case name, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return self.headers.get("x-amzn-errortype", "")

    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """Sends requests to one endpoint."""

    def __init__(self, endpoint_url: str) -> None:
        parts = urlsplit(endpoint_url)
        self._address = (str(parts.hostname), int(parts.port or 80))

    def send(
        self,
        method: str,
        path: str,
        body: Any = b"",
        headers: dict[str, str] | None = None,
        *,
        authorization: str | None = AUTHORIZATION,
    ) -> Reply:
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        signed = {"Authorization": authorization} if authorization else {}
        try:
            connection.request(method, path, body, {**signed, **(headers or {})})
            reply = connection.getresponse()
            received = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, received, reply.read())
        finally:
            connection.close()

    def call(self, operation: OperationModel, params: dict[str, Any]) -> Reply:
        """Send each member where the service model places it (path, query, header or body).

        The values are not checked.
        """
        shape = operation.input_shape
        path: str = operation.http["requestUri"]
        query: dict[str, str] = {}
        headers: dict[str, str] = {}
        members: dict[str, Any] = {}
        body = b""
        for name, value in params.items():
            member = shape.members[name]
            wire_name = member.serialization.get("name", name)
            location = member.serialization.get("location")
            if location == "uri":
                path = path.replace(f"{{{wire_name}}}", quote(str(value), safe=""))
            elif location == "querystring":
                query[wire_name] = _text(value)
            elif location == "header":
                headers[wire_name] = quote(str(value), safe=" !|/+=:,.-_")
            elif name == shape.serialization.get("payload"):
                body = value
            else:
                members[wire_name] = value
        if members:
            body = json.dumps(members, default=_as_json).encode()
        if query:
            path = f"{path}?{urlencode(query)}"
        return self.send(operation.http["method"], path, body, headers)


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat()
