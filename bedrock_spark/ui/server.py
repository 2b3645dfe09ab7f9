"""Serve the pages on the loopback interface."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from waitress.server import create_server

from bedrock_spark.errors import ConfigError
from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import TOKEN
from bedrock_spark.ui.settings import UiSettings
from bedrock_spark.ui.shared import shared

HOST = "127.0.0.1"
# A stream of an answer keeps a thread until it ends. A browser opens six connections to a host.
_THREADS = 24


class _WaitressServer(Protocol):
    effective_port: int

    def run(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Server:
    """A server that listens, and does not answer yet.

    address: what the user opens; it has the token
    """

    address: str
    port: int
    _server: _WaitressServer
    _end: Callable[[], None]

    def address_of(self, path: str) -> str:
        """Return the address of a page. path: with its query, such as /run?uri=…"""
        root, token = self.address.split("/?", 1)
        return f"{root}{path}{'&' if '?' in path else '?'}{token}"

    def serve(self) -> None:
        """Answer requests until the process is interrupted; then end what pages do with runs."""
        try:
            self._server.run()
        finally:
            self._end()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def listen(settings: UiSettings, port: int = 0) -> Server:
    """Return a server with a new token.

    port: 0 for a free one
    Raises ConfigError if another process uses the port.
    """
    token = secrets.token_urlsafe(24)
    # A browser that goes away in the middle of a page is nothing to warn of.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    app = create_app(settings, token)
    try:
        made = create_server(app, host=HOST, port=port, threads=_THREADS, ident=None)
    except OSError as exc:
        raise ConfigError(f"--port {port}: cannot be used: {exc.strerror}") from exc
    server = cast("_WaitressServer", made)
    bound = int(server.effective_port)
    return Server(
        f"http://{HOST}:{bound}/?{TOKEN}={token}", bound, server, shared(app).operations.close
    )
