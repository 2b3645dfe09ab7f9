"""Calls a WSGI application for the requests that the HTTP server has parsed.

The server is asynchronous, the application is not: each request has its own thread. A short body is
read before the thread starts. Of a longer one, the application reads pieces while it arrives.

The environment of a request: PEP 3333 (https://peps.python.org/pep-3333/), and the keys that moto
reads: the path before it was decoded, and the names of S3's metadata as they were sent.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any, Protocol, TypeAlias

from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)

from bedrock_emulator.errors import DroppedConnectionError
from bedrock_emulator.hangup import Hangup, current

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# An event of ASGI: a dict with a type (https://asgi.readthedocs.io/en/latest/specs/www.html).
Message: TypeAlias = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_GONE = "the client has closed the connection"
_AT_ONCE = 1024 * 1024  # how many bytes of a body are handed to another thread as a whole
# A body of up to this many bytes is read before its thread starts: handing over its pieces takes
# longer than to receive them. Most parts of an upload are no longer.
_SHORT = 8 * 1024 * 1024


class Clients(Protocol):
    """The connected clients, by their addresses."""

    def has(self, address: tuple[str, int]) -> bool:
        """Tell whether a client is still connected."""

    def drop(self, address: tuple[str, int]) -> None:
        """Close the connection of a client at once."""

    async def gone(self, address: tuple[str, int]) -> None:
        """Return when a client has closed its connection."""


class WsgiInThreads:
    """A WSGI application, as an application of hypercorn."""

    def __init__(self, app: WsgiApp, threads: Executor, clients: Clients) -> None:
        self._app = app
        self._threads = threads
        self._clients = clients

    async def __call__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        sync_spawn: Callable[..., Any],
        call_soon: Callable[..., Any],
    ) -> None:
        """Answer one request. Raises what the application raises, but DroppedConnectionError."""
        if scope["type"] == "websocket":
            for message in _no_websocket():
                await send(message)
        if scope["type"] != "http":  # or the start and the end of the server
            return
        client = tuple(scope["client"])

        def send_piece(message: Message) -> None:
            if not self._clients.has(client):
                raise ConnectionResetError(_GONE)
            call_soon(send, message)

        loop = asyncio.get_running_loop()
        body = _Body(receive, call_soon)
        watching: list[asyncio.Task[None]] = []

        def watch() -> None:
            if not watching:
                watching.append(loop.create_task(self._watch(client, receive, body, hangup)))

        def watch_soon() -> None:
            loop.call_soon_threadsafe(watch)

        hangup = Hangup(watch_soon)
        reply = _Reply(send_piece, hangup)
        run = loop.run_in_executor
        try:
            environ = environment(scope, await body.open())
            rest = await run(self._threads, reply.run, self._app, environ)
            await body.read_rest()
        except ConnectionResetError:  # the client has gone: nobody reads a reply
            return
        except DroppedConnectionError:
            self._clients.drop(client)
            return
        finally:
            for task in watching:
                task.cancel()
        for message in rest:
            await send(message)

    async def _watch(
        self, client: tuple[str, int], receive: Receive, body: _Body, hangup: Hangup
    ) -> None:
        """Wait until the client has closed its connection, or the request's stream in HTTP/2."""
        waits = [asyncio.ensure_future(self._clients.gone(client))]
        if body.has_ended:
            waits.append(asyncio.ensure_future(_disconnected(receive)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            hangup.happened()
        finally:
            for wait in waits:
                wait.cancel()


class _Reply:
    """Runs the application in a thread; passes its reply on as messages.

    send: sends a message and waits until it is sent; called in the thread; raises
        ConnectionResetError if the client has gone
    """

    def __init__(self, send: Callable[[Message], None], hangup: Hangup) -> None:
        self._send = send
        self._hangup = hangup
        self._start: dict[str, Any] = {}

    def run(self, app: WsgiApp, environ: dict[str, Any]) -> list[Message]:
        """Return the messages of a short reply. Those of a longer one are sent, but for the last.

        Raises RuntimeError if the application ends without a reply.
        """
        with current(self._hangup):
            return self._run(app, environ)

    def _run(self, app: WsgiApp, environ: dict[str, Any]) -> list[Message]:
        chunks = app(environ, self._begin)
        try:
            if self._is_short():
                body = b"".join(chunks)
                return [self._started(), _piece(body, more=False)]
            is_started = False
            for chunk in chunks:
                if not is_started:
                    self._send(self._started())
                    is_started = True
                self._send(_piece(chunk, more=True))
            end = _piece(b"", more=False)
            return [end] if is_started else [self._started(), end]
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _begin(self, status: str, headers: list[tuple[str, str]], _info: object = None) -> None:
        # A connection's own headers are the server's business, and HTTP/2 has none.
        encoded = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
            if name.lower() not in ("connection", "keep-alive", "transfer-encoding")
        ]
        self._start = {"status": int(status.split(" ", 1)[0]), "headers": encoded}

    def _is_short(self) -> bool:
        length = next((v for n, v in self._start.get("headers", ()) if n == b"content-length"), b"")
        return length.isdigit() and int(length) <= _AT_ONCE

    def _started(self) -> Message:
        if not self._start:
            raise RuntimeError("the application ended without a reply")
        return {"type": "http.response.start", **self._start}


def _no_websocket() -> Iterator[Message]:
    """Yield the reply to a client that asks for a websocket, which no operation here has."""
    code = b"UnknownOperationException"
    body = b'{"message":"The emulator has no websockets."}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", code),
    ]
    yield {"type": "websocket.http.response.start", "status": 501, "headers": headers}
    yield {"type": "websocket.http.response.body", "body": body, "more_body": False}


def _piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class _Body(io.RawIOBase):
    """The body of a request: a file that is read while it arrives.

    call_soon: runs a coroutine of the server; called in the application's thread
    """

    def __init__(self, receive: Receive, call_soon: Callable[..., Any]) -> None:
        self._receive = receive
        self._call_soon = call_soon
        self._arrived = memoryview(b"")
        self._more = True

    async def open(self) -> io.BufferedIOBase:
        """Return the file, in memory if it is short. Raises ConnectionResetError."""
        begun = await self._gather(_SHORT)
        if not self._more:
            return io.BytesIO(begun)  # shares these bytes
        self._arrived = memoryview(begun)
        return io.BufferedReader(self, _AT_ONCE)

    @property
    def has_ended(self) -> bool:
        """Whether all of the body has been received."""
        return not self._more

    async def read_rest(self) -> None:
        """Read what the application has not read: a client may not read before it has sent all."""
        while self._more:
            await self._next()

    async def _gather(self, least: int = _AT_ONCE) -> bytes:
        """Receive at least this many bytes, or what is left of the body."""
        pieces, size = [], 0
        while self._more and size < least:
            pieces.append(await self._next())
            size += len(pieces[-1])
        return b"".join(pieces)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._more = False
            raise ConnectionResetError(_GONE)
        self._more = bool(message.get("more_body"))
        body: bytes = message.get("body", b"")
        return body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy what has arrived; wait for the next piece if that is nothing. 0 is the end.

        Raises ConnectionResetError if the client goes before the end.
        """
        while not self._arrived and self._more:
            self._arrived = memoryview(self._call_soon(self._gather))
        count = min(len(buffer), len(self._arrived))
        buffer[:count] = self._arrived[:count]
        self._arrived = self._arrived[count:]
        return count


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def environment(scope: Message, body: io.BufferedIOBase) -> dict[str, Any]:
    """Return the environment of a request (PEP 3333)."""
    raw_path: str = scope["raw_path"].decode("latin-1")
    query: str = scope["query_string"].decode("latin-1")
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": client[1],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = _add_headers(environ, headers)
    return environ


def _add_headers(environ: dict[str, Any], headers: list[tuple[str, str]]) -> dict[str, str]:
    """Add the headers; return the names of S3's metadata as they were sent, by key.

    A key cannot tell - from _. A header with _ counts only if S3 allows it in this name, and if no
    header with - has the same key.
    """
    names: dict[str, str] = {}
    dashed = {environ_key_for_header(name) for name, _ in headers if "_" not in name}
    for name, value in headers:
        key = environ_key_for_header(name)
        if "_" in name:
            if not should_preserve_original_header_name(name) or key in dashed:
                continue
            names.setdefault(key, name)
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return names
