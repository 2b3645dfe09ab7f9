"""Fork a new local Bedrock for each test, always at the same address.

A fork server imports everything once and forks a child process for each test, so no test waits for
the imports. The child ends with its test, and with it everything that the test left there. As the
address stays the same, boto3 clients are made only once, too, also in Spark's Python workers.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bedrock_emulator import LocalBedrock
from tests.modules import ROOT

BUCKET = "e2e-tests"
FORK, END = "fork", "end"


class BedrockServer:
    """The fork server: a child process that serves at most one local Bedrock at a time.

    It ends when this process ends, because that closes its standard input.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def send(self, command: str, **settings: Any) -> str:
        """Send FORK, with the settings of the new Bedrock, or END; return the Bedrock's address."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, settings]) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End the fork server and the Bedrock that it serves."""
        self._process.communicate()


class ForkedBedrock(LocalBedrock):
    """A local Bedrock that is a child of the fork server, not of this process."""

    def __init__(self, server: BedrockServer, **settings: Any) -> None:
        super().__init__()
        self._server = server
        self._settings = settings

    def start(self) -> None:
        self.endpoint_url = self._server.send(FORK, **self._settings)

    def stop(self) -> None:
        self._server.send(END)


def main() -> None:
    """Read commands from standard input, a line each; answer each with the Bedrock's address."""
    _import_all()
    child, url = 0, ""
    with tempfile.TemporaryDirectory(prefix="forked-bedrock-") as folder:
        # A child is killed, so it cannot remove its temporary files.
        tempfile.tempdir = folder
        for line in sys.stdin:
            command, settings = json.loads(line)
            _kill(child, Path(folder))
            child = 0
            if command == FORK:
                child, url = _fork(port=int(url.rpartition(":")[2] or 0), **settings)
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
        _kill(child, Path(folder))


def _import_all() -> None:
    """Do the slow work of a start once. It must start no thread: a fork does not copy threads."""
    import moto.moto_server.werkzeug_app as moto_app

    import bedrock_emulator.http.server  # noqa: F401
    from bedrock_emulator.wire.service_model import OPERATIONS, service_model

    moto_app.create_backend_app("s3")
    for service in OPERATIONS:
        service_model(service)


def _fork(port: int, faults: dict[str, Any] | None, **settings: Any) -> tuple[int, str]:
    """Fork a Bedrock; return its process id and its address."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _serve(writer, faults, port=port, **settings)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return child, pipe.read()


def _serve(
    writer: int,
    faults: dict[str, Any] | None,
    timings: dict[str, float] | None = None,
    **settings: Any,
) -> None:
    """Serve a Bedrock in this process; write its address to the pipe `writer` first.

    timings: those of the settings, if they are not the usual ones
    """
    from bedrock_emulator.faults import read_faults
    from bedrock_emulator.http.server import Emulator
    from bedrock_emulator.settings import Settings, Timings

    emulator = Emulator(Settings(timings=Timings(**timings or {}), **settings), read_faults(faults))
    with os.fdopen(writer, "w") as pipe:
        pipe.write(emulator.endpoint_url)
    emulator.serve()


def _kill(child: int, folder: Path) -> None:
    """Kill the child, if there is one, and remove its temporary files, which are in `folder`."""
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for left in folder.iterdir():
            shutil.rmtree(left)


if __name__ == "__main__":
    main()
