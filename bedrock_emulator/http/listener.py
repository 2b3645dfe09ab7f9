"""Serves a WSGI application on one port: HTTP/1.1 and HTTP/2, with or without TLS.

hypercorn speaks the protocols. Without TLS, a client may begin with HTTP/2 at once ("prior
knowledge", RFC 9113, section 3.3), as AWS's SDK for JavaScript does. With TLS, ALPN decides.

Connections are accepted here and not by hypercorn's own server, because the fault script closes
some of them, and because the port must be known before the first request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, Updated

from bedrock_emulator.http.goaway import let_streams_end
from bedrock_emulator.http.wsgi import WsgiApp, WsgiInThreads

log = logging.getLogger(__name__)

# How many requests are answered at the same time. Most of them may be waiting: scripted latency.
_THREADS = 256
_BACKLOG = 1024
# SDKs reuse connections that were idle. If the server closed them first, a call would fail.
_IDLE_SECONDS = 120
_GRACE_SECONDS = 3.0
_MAX_HEADERS = 256 * 1024


class _Connection(TCPServer):
    """A connection, which ends when its client closes it.

    hypercorn's own waits then until the connection has been idle for long enough.
    """

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        is_over = isinstance(event, Updated) and event.idle and self.reader.at_eof()
        await super().protocol_send(Closed() if is_over else event)


class _Reader(asyncio.StreamReader):
    """What a client sends. `ended` is set when it has closed the connection.

    hypercorn does not read while a request in HTTP/1.1 is answered, so it cannot tell.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.ended.set()


class _Connections:
    """The open connections, by the addresses of the clients."""

    def __init__(self) -> None:
        self._writers: dict[tuple[str, int], asyncio.StreamWriter] = {}
        self._readers: dict[tuple[str, int], _Reader] = {}

    @contextmanager
    def opened(
        self, address: tuple[str, int], reader: _Reader, writer: asyncio.StreamWriter
    ) -> Iterator[None]:
        self._writers[address] = writer
        self._readers[address] = reader
        try:
            yield
        finally:
            del self._writers[address], self._readers[address]

    async def gone(self, address: tuple[str, int]) -> None:
        reader = self._readers.get(address)
        if reader is not None:
            await reader.ended.wait()

    def has(self, address: tuple[str, int]) -> bool:
        writer = self._writers.get(address)
        return writer is not None and not writer.is_closing()

    def drop(self, address: tuple[str, int]) -> None:
        writer = self._writers.get(address)
        if writer is not None:
            writer.transport.abort()


class Listener:
    """A server on one port. `serve` blocks until another thread calls `close`."""

    def __init__(
        self, app: WsgiApp, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> None:
        """Bind the port. Raises OSError if that fails.

        port: 0 picks a free one
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # Connections inherit it. Without it, a body waits until the head is acknowledged.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._app = app
        self._tls = tls
        self._connections = _Connections()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop: Future[None] = Future()
        self._is_serving = False
        self._ended = threading.Event()

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        port: int = self._socket.getsockname()[1]
        return port

    def serve(self) -> None:
        """Answer requests until `close` is called."""
        self._is_serving = True
        try:
            with ThreadPoolExecutor(_THREADS, "request") as threads:
                asyncio.run(self._serve(threads))
        finally:
            self._ended.set()

    def close(self) -> None:
        """Accept no more connections; wait a moment for requests in flight. May be called twice."""
        if not self._stop.done():
            self._stop.set_result(None)
        if self._is_serving:
            self._ended.wait()
        self._socket.close()

    async def _serve(self, threads: ThreadPoolExecutor) -> None:
        context = WorkerContext(None)
        let_streams_end()
        app = WsgiInThreads(self._app, threads, self._connections)
        config = _config()
        loop = asyncio.get_running_loop()

        async def answer(reader: _Reader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            address = writer.get_extra_info("peername")
            if task is None or address is None:  # the client has gone
                writer.close()
                return
            self._tasks.add(task)
            try:
                with self._connections.opened(address[:2], reader, writer):
                    await _Connection(app, loop, config, context, {}, reader, writer)
            finally:
                self._tasks.discard(task)

        def connection() -> asyncio.StreamReaderProtocol:
            reader = _Reader(loop)
            return asyncio.StreamReaderProtocol(reader, lambda _, w: answer(reader, w), loop)

        server = await loop.create_server(
            connection, sock=self._socket, ssl=self._tls, backlog=_BACKLOG
        )
        await asyncio.wrap_future(self._stop)
        server.close()
        await context.terminated.set()  # ends idle connections
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()


def _config() -> Config:
    config = Config()
    config.include_server_header = False
    config.errorlog = log
    config.h11_max_incomplete_size = _MAX_HEADERS
    config.h2_max_header_list_size = _MAX_HEADERS
    config.keep_alive_timeout = _IDLE_SECONDS
    config.keep_alive_max_requests = 10**9
    return config
