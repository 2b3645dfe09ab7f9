"""Requests to an OpenAI-compatible server.

They go to its URL and nowhere else: no proxy of the environment is used, no redirect is followed.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.hangup import ended_by_hangup

_TIMEOUT_SECONDS = 300.0
_READ_BYTES = 65536


class OpenAIServer:
    """The server of a URL. `OPENAI_API_KEY` is sent if it is set."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url.rstrip("/"))

    @contextmanager
    def post(self, path: str, body: dict[str, Any]) -> Iterator[OpenAIReply]:
        """Send a request, and yield its reply, whose body is still to be read.

        Raise ServiceError if the server cannot be reached or fails, during the block as well. The
        request is closed if the client goes that the answer is for.
        """
        headers = {"Content-Type": "application/json"}
        if os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {os.environ['OPENAI_API_KEY']}"
        connection = self._connection()
        try:
            connection.connect()
            opened = connection.sock
            with ended_by_hangup(lambda: _shut(opened)):
                target = f"{self._url.path}/{path}"
                connection.request("POST", target, json.dumps(body).encode(), headers)
                reply = connection.getresponse()
                _check(reply.status)
                yield OpenAIReply(reply)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise model_error(f"could not be reached: {type(exc).__name__}") from exc
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        if self._url.scheme == "https":
            kind = http.client.HTTPSConnection
        return kind(self._url.hostname or "", self._url.port, timeout=_TIMEOUT_SECONDS)


class OpenAIReply:
    """A reply whose status is good."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self._reply = reply

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events, and no JSON."""
        kind: str = self._reply.headers.get_content_type()
        return kind == "text/event-stream"

    def json(self) -> dict[str, Any]:
        """Return the body. Raise ServiceError if it is no JSON object."""
        answer = json.loads(self._reply.read())
        if not isinstance(answer, dict):
            raise model_error("sent something other than a JSON object")
        return answer

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the body, each when it is there. An unfinished line is left out."""
        begun = b""
        while piece := self._reply.read1(_READ_BYTES):
            *lines, begun = (begun + piece).split(b"\n")
            yield from lines


def model_error(problem: str, status: int = 500) -> ServiceError:
    """Return the error of a call whose server failed."""
    return ServiceError(
        "ModelErrorException",
        f"The server behind --backend-url {problem}.",
        {"originalStatusCode": status},
    )


def _check(status: int) -> None:
    if status == 429:
        raise ServiceError(
            "ThrottlingException", "Too many requests, please wait before trying again."
        )
    if status != 200:
        raise model_error(f"answered with status {status}", status)


def _shut(opened: socket.socket) -> None:
    """End the connection, also for a thread that waits for its next bytes."""
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended
        return
