"""A process of a run: one command of `bedrock-spark`, which dies by SIGKILL at one of its calls.

A fork server imports this module once and forks a process for each command, so a command starts in
milliseconds. The process has a clock of its own, and a stand-in for Spark.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos.fast_clock import run_fast
from bench.chaos.stand_in import StandIn

# Seconds per real second: a lease of six minutes is six seconds, which a busy machine can keep.
SPEED = 60.0
FLUSH_RECORDS = 10


@dataclass(frozen=True)
class Kill:
    """A SIGKILL at a call to AWS: before it is sent or after its reply, by number from 1."""

    call: int
    when: str

    def __str__(self) -> str:
        return f"killed {self.when} call {self.call}"


@dataclass(frozen=True)
class Command:
    """What one process does.

    arguments: of `bedrock-spark`; offset: the error of its clock in seconds
    twice: the share of its Spark tasks that run twice; seed: of its random numbers
    """

    arguments: tuple[str, ...]
    seed: int
    offset: float = 0.0
    twice: float = 0.0
    kill: Kill | None = None

    def __str__(self) -> str:
        offset = f", clock {self.offset:+g} s" if self.offset else ""
        twice = ", tasks twice" if self.twice else ""
        kill = f", {self.kill}" if self.kill else ""
        return f"{self.arguments[0]}{offset}{twice}{kill}"


class Nursery:
    """Starts commands. origin: the real time from which all clocks run fast."""

    def __init__(self, origin: float, folder: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["bench.chaos.preload"])
        self._origin = origin
        self._temporary = folder / "tmp"
        self._temporary.mkdir()

    def start(self, command: Command, log: Path) -> Any:
        """Start a command as a process; its output goes to a file."""
        settings = (command, str(log), str(self._temporary), self._origin)
        process = self._context.Process(target=_be, args=settings)
        process.start()
        return process

    def leftovers(self) -> list[str]:
        """Return the temporary files that the commands left."""
        return sorted(path.name for path in self._temporary.iterdir())


def _be(command: Command, log: str, temporary: str, origin: float) -> None:
    """Run a command in this process, and exit with its code."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    print(f"== {command}", file=sys.stderr)  # noqa: T201
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    random.seed(command.seed)
    run_fast(origin, SPEED, command.offset)
    if command.kill is not None:
        _die_at(command.kill)
    _use_stand_in(StandIn(random.Random(command.seed), command.twice))

    from bedrock_spark.cli import main

    main(list(command.arguments), prog_name="bedrock-spark")


def _use_stand_in(spark: StandIn) -> None:
    """Let the command line use a stand-in for Spark, and write answers more often."""
    from bedrock_spark.spark import session
    from bedrock_spark.spark.fallback import answer_files

    session.spark_session = lambda *_: spark  # type: ignore[assignment, return-value]
    answer_files.FLUSH_RECORDS = FLUSH_RECORDS  # type: ignore[misc]


def _die_at(kill: Kill) -> None:
    from botocore.httpsession import URLLib3Session

    original_send, calls, lock = URLLib3Session.send, 0, threading.Lock()

    def send_or_die(self: Any, request: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            is_last = calls == kill.call
        if is_last and kill.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = original_send(self, request)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    URLLib3Session.send = send_or_die
