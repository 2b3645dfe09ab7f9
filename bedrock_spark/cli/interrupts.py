"""Ctrl-C and SIGTERM: end at any moment, leave no process behind, and say what is true then.

Both raise KeyboardInterrupt in the main thread. If the process was started with SIGINT ignored, as
a shell starts jobs in the background, Ctrl-C stays ignored.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.run import Run

_CONTINUES = "The same command continues the run"


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. It takes the same way out as Ctrl-C."""


def exit_code_of(interrupt: KeyboardInterrupt) -> ExitCode:
    """Return the exit code that shells expect of an interrupted process."""
    return ExitCode.TERMINATED if isinstance(interrupt, Terminated) else ExitCode.INTERRUPTED


@dataclass
class Received:
    """The interrupt that has arrived, if one has. An error that follows it is a consequence."""

    interrupt: KeyboardInterrupt | None = None


@contextmanager
def interruptible(at_once: Callable[[], None] = lambda: None) -> Iterator[Received]:
    """Raise KeyboardInterrupt within the block if SIGINT or SIGTERM arrives.

    at_once: is called first, in the signal handler
    Code that is interrupted may turn the KeyboardInterrupt into an error of its own, as a call into
    Java does that is cut off: the object that the block gets tells.
    Signals reach the main thread only, so in another thread nothing is changed.
    """
    received = Received()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def leave(number: int, frame: FrameType | None) -> None:
        at_once()
        received.interrupt = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        raise received.interrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe_interrupt(run: Run | None) -> str:
    """Return what a user has to know after an interrupt: whether batch jobs run, and what to do.

    run: None if it is not open yet
    Reads the ledger. A second interrupt while it is read is enough to go without.
    """
    if run is None:
        return f"interrupted; nothing was submitted. {_CONTINUES}"
    uri = run.config.run_uri
    try:
        jobs = Ledger(run.storage).replay().values()
    except (BedrockSparkError, KeyboardInterrupt):
        return (
            f"interrupted; batch jobs that were submitted keep running (bedrock-spark status {uri} "
            f"shows them). {_CONTINUES}"
        )
    active = sum(not job.is_settled for job in jobs)
    if not jobs:
        return f"interrupted; no batch job was submitted yet. {_CONTINUES}"
    if not active:
        return (
            "interrupted; all batch jobs are over, and their answers are kept. The same command "
            "reads them and continues the run"
        )
    keep = "1 batch job keeps" if active == 1 else f"{active:,} batch jobs keep"
    return f"interrupted; {keep} running. {_CONTINUES}. To stop the jobs: bedrock-spark stop {uri}"
