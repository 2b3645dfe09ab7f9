"""Start emulators without their imports, which take most of a second of CPU each.

A child process imports everything once, and forks for each emulator. The fork has the arguments,
the standard streams and the end of a process of `python -m bedrock_emulator`. test_process.py has
the tests of such a process itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from bedrock_emulator import local
from tests.modules import ROOT

_BYTES = 1 << 16


@contextmanager
def preloaded_emulators() -> Iterator[None]:
    """Let each `LocalBedrock` of the block be a fork."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", __name__, str(theirs.fileno())]
    server = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    theirs.close()

    def start(command: Sequence[str], **streams: Any) -> Forked:
        return Forked(ours, command[command.index("bedrock_emulator") + 1 :], streams["stderr"])

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local, "subprocess", _Subprocess(start))
            yield
    finally:
        ours.close()
        server.wait()


class _Subprocess:
    """The module subprocess, as `LocalBedrock` uses it."""

    PIPE, TimeoutExpired = subprocess.PIPE, subprocess.TimeoutExpired

    def __init__(self, start: Any) -> None:
        self.Popen = start


class Forked:
    """An emulator; it has the members of subprocess.Popen that `LocalBedrock` uses.

    returncode: None while it runs, 0 if it has ended by itself, else the signal below 0
    """

    returncode: int | None = None

    def __init__(self, server: socket.socket, arguments: Sequence[str], log: Any) -> None:
        (stdin, ours), (theirs, stdout) = os.pipe(), os.pipe()
        data = json.dumps(arguments).encode()
        socket.send_fds(server, [data], [stdin, stdout, log.fileno()])
        self.pid = int(server.recv(_BYTES))
        os.close(stdin)
        os.close(stdout)
        self.stdin, self.stdout = os.fdopen(ours, "w"), os.fdopen(theirs)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the process, which is the end of its output."""
        self.stdout.read()
        self.returncode = self.returncode or 0

    def kill(self) -> None:
        """End the process."""
        self.returncode = -signal.SIGKILL
        os.kill(self.pid, signal.SIGKILL)


def main(server: socket.socket) -> None:
    """Fork an emulator for each message, until the other end is closed."""
    import moto.moto_server.werkzeug_app as moto_app

    import bedrock_emulator.http.server  # noqa: F401
    from bedrock_emulator.command import emulator

    moto_app.create_backend_app("s3")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system removes processes that are over
    while True:
        data, streams, _, _ = socket.recv_fds(server, _BYTES, 3)
        if not data:
            return
        child = os.fork()
        if child == 0:
            break
        server.send(str(child).encode())
        for stream in streams:
            os.close(stream)
    server.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    emulator(json.loads(data), prog_name="python -m bedrock_emulator")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
