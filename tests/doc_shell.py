"""A shell for the commands of the docs, in which this package's programs run in this process.

The shell is bash, and runs statements as they are printed. `bedrock-spark` and `spark-submit` are
small programs there that send their arguments, folder, environment and standard input here, and end
with what this process answers. So all commands share one Spark session, which a process for each
would take most of the time to start.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from bedrock_spark.cli import main
from tests.doc_statements import Statement
from tests.modules import ROOT, run_script

# Ends with the exit code that is answered. It reads its input to the end first.
_PROGRAM = """#!{python} -IS
import json, os, socket, sys
asked = dict(program={name!r}, words=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
asked["input"] = sys.stdin.buffer.read().decode()
with socket.create_connection(("127.0.0.1", {port})) as connection:
    connection.sendall(json.dumps(asked).encode())
    connection.shutdown(socket.SHUT_WR)
    with connection.makefile("rb") as answered:
        answer = json.load(answered)
sys.stdout.write(answer["out"])
sys.stderr.write(answer["err"])
sys.exit(answer["code"])
"""
# The other programs. `make` says what it would do: its targets are steps of .ci/run. The calls of
# the AWS CLI are checked by tests/unit/test_doc_commands.py, and made by `make test-clients`.
_OTHERS = {
    "python": f'exec {shlex.quote(sys.executable)} "$@"',
    "make": f'unset MAKEFLAGS MAKELEVEL; exec /usr/bin/env -u PYTHONPATH PATH="$SYSTEM_PATH" '
    f'make -n -C {shlex.quote(str(ROOT))} "$@"',
    "aws": '[ "$1 $2" != "sts get-caller-identity" ] || echo 123456789012',
}
_WELL = 'well() { case " $2 " in *" $1 "*) ;; *) echo "$3: exit code $1" >&2; exit 97;; esac; }'
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Call:
    """A call of a program of this package, and how it ended."""

    program: str
    words: list[str]
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Ended:
    """How the shell ended: its exit code and what it printed; the calls that were made in it."""

    code: int
    out: str
    err: str
    calls: list[Call]


@dataclass
class DocShell:
    """A shell that begins in a folder.

    folder: has a folder `bin` for the programs afterwards
    environment: variables beside those of this process
    on_folder: is called with the folder of each call before it is made
    """

    folder: Path
    environment: Mapping[str, str]
    on_folder: Callable[[str], object] = lambda _: None
    _calls: list[Call] = field(default_factory=list)

    def run(self, statements: Iterable[Statement], text_of: Callable[[Statement], str]) -> Ended:
        """Run statements one after another; end after the first one that does not end well.

        Each block begins in the folder of the shell, with the variables of the blocks before.
        text_of: returns what is run for a statement
        """
        lines = [_WELL, "set -o pipefail"]
        for statement in statements:
            codes = " ".join(map(str, sorted(statement.codes)))
            lines += [f"cd {shlex.quote(str(self.folder))}"] if statement.is_first else []
            lines += [text_of(statement), f'well $? "{codes}" {shlex.quote(statement.place)}']
        self._calls = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._write_programs(server.getsockname()[1])
            return self._run("\n".join(lines), server)

    def _write_programs(self, port: int) -> None:
        programs = {name: f"#!/bin/sh\n{line}\n" for name, line in _OTHERS.items()}
        for name in _PROGRAMS:
            programs[name] = _PROGRAM.format(python=sys.executable, name=name, port=port)
        for name, text in programs.items():
            path = self.folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def _run(self, script: str, server: socket.socket) -> Ended:
        server.settimeout(_POLL_SECONDS)
        path = os.environ["PATH"]
        environment = {
            **os.environ,
            **self.environment,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.folder / 'bin'}:{path}",
            "SYSTEM_PATH": path,
        }
        out, err = self.folder / "bin" / "out", self.folder / "bin" / "err"
        with (
            out.open("wb") as to_out,
            err.open("wb") as to_err,
            subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
            ) as bash,
        ):
            while bash.poll() is None:
                with contextlib.suppress(TimeoutError):
                    self._answer(server.accept()[0])
        return Ended(bash.returncode, out.read_text("utf-8"), err.read_text("utf-8"), self._calls)

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(None)
            call = self._call(json.load(stream))
            self._calls.append(call)
            stream.write(json.dumps({"code": call.code, "out": call.out, "err": call.err}).encode())

    def _call(self, asked: dict[str, Any]) -> Call:
        """Run a program in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        self.on_folder(asked["folder"])
        with (
            contextlib.chdir(asked["folder"]),
            mock.patch.dict(os.environ, asked["environment"], clear=True),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(asked["input"].encode()))),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = _PROGRAMS[asked["program"]](asked["words"])
        printed = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
        return Call(asked["program"], asked["words"], code, *printed)


def _bedrock_spark(words: list[str]) -> int:
    try:
        main(words, prog_name="bedrock-spark")
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def _spark_submit(words: list[str]) -> int:
    """Run the program that is named; the options of Spark before it are those of a cluster."""
    start = next(i for i, word in enumerate(words) if word.endswith(".py"))
    return run_script(Path(words[start]), *words[start + 1 :])


_PROGRAMS = {"bedrock-spark": _bedrock_spark, "spark-submit": _spark_submit}
