"""A new local Bedrock for each test, at one address, without a process that starts from nothing.

A server imports everything once and forks for each; what a test does to one ends with it. As the
address stays, clients are made once as well, also those in Spark's workers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from bedrock_emulator import LocalBedrock
from tests.modules import ROOT

BUCKET = "e2e-tests"
FORK, END = "fork", "end"


class BedrockServer:
    """The server, as a process that ends when this one does. One Bedrock at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, what: str, **settings: Any) -> str:
        """Have a Bedrock forked or ended; return its address."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, settings]) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End the server, and the Bedrock that it serves."""
        self._process.communicate()


class ForkedBedrock(LocalBedrock):
    """A local Bedrock that a server forks, in place of a process of its own."""

    def __init__(self, server: BedrockServer, **settings: Any) -> None:
        super().__init__()
        self._server = server
        self._settings = settings

    def start(self) -> None:
        self.endpoint_url = self._server.ask(FORK, **self._settings)

    def stop(self) -> None:
        self._server.ask(END)


def main() -> None:
    """Fork and end as the lines of standard input say; say the address each time."""
    _import_all()
    child, url = 0, ""
    for line in sys.stdin:
        what, settings = json.loads(line)
        _end(child)
        child = 0
        if what == FORK:
            child, url = _fork(port=int(url.rpartition(":")[2] or 0), **settings)
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
    _end(child)


def _import_all() -> None:
    """Do once what takes long and leaves no thread behind."""
    import moto.moto_server.werkzeug_app as moto_app

    import bedrock_emulator.http.server  # noqa: F401
    from bedrock_emulator.wire.service_model import OPERATIONS, service_model

    moto_app.create_backend_app("s3")
    for service in OPERATIONS:
        service_model(service)


def _fork(port: int, faults: dict[str, Any] | None, **settings: Any) -> tuple[int, str]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _serve(writer, faults, port=port, **settings)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        return child, told.read()


def _serve(writer: int, faults: dict[str, Any] | None, **settings: Any) -> None:
    from bedrock_emulator.faults import read_faults
    from bedrock_emulator.http.server import Emulator
    from bedrock_emulator.settings import Settings

    emulator = Emulator(Settings(**settings), read_faults(faults))
    with os.fdopen(writer, "w") as told:
        told.write(emulator.endpoint_url)
    emulator.serve()


def _end(child: int) -> None:
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
