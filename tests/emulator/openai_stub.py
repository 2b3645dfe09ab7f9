"""Run a stand-in for an OpenAI server, and a local Bedrock that gets its answers there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import TypeVar

from bedrock_emulator import LocalBedrock

from .kit import Kit

Server = TypeVar("Server", bound=HTTPServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve requests in a thread during the block."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def asking(server: HTTPServer, *options: str) -> Iterator[Kit]:
    """Run a local Bedrock whose answers come from a server. options: more of the command line."""
    url = f"http://127.0.0.1:{server.server_port}/v1"
    backend = ("--backend", "openai", "--backend-url", url, *options)
    with LocalBedrock({"quotas": {"min_records": 1}}, 0, 7, None, 0, *backend) as local:
        yield Kit.open(local)
