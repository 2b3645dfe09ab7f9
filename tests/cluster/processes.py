"""Processes with a log each, found and ended by their own ids."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")

# Longer than anything takes on a busy machine. Only a test that fails waits so long.
SECONDS = 300.0
_LOOK_SECONDS = 0.1


def wait_until(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Wait until a condition returns something true, and return that."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"never seen: {what}"
        time.sleep(_LOOK_SECONDS)
    return value


@dataclass
class Process:
    """A process whose output, both streams, is in a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def is_over(self) -> bool:
        return self.popen.poll() is not None

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the output has a pattern; fail at once if the process ends without it."""

        def found() -> re.Match[str] | bool:
            is_over = self.is_over  # before the output is read: it may print and end
            return re.search(pattern, self.text) or is_over

        match = wait_until(found, f"{pattern} in {self.log}:\n{self.text[-3000:]}")
        assert isinstance(match, re.Match), f"{pattern} is not in {self.log}:\n{self.text[-3000:]}"
        return match

    def wait(self) -> int:
        """Wait until the process has ended; return its exit code."""
        wait_until(lambda: self.is_over, f"the end of {self.log}")
        return int(self.popen.returncode)

    def kill(self) -> None:
        """SIGKILL the process. With it ends all that lives in its PID namespace."""
        if not self.is_over:
            self.popen.kill()
        self.popen.wait(SECONDS)

    def stop(self) -> None:
        """End the process and all its descendants."""
        pids = [self.popen.pid, *descendants(self.popen.pid)]
        self.kill()
        for pid in pids:
            kill(pid)

    def find(self, pattern: str) -> list[int]:
        """Return the ids of the descendants whose command line has a pattern."""
        return [p for p in descendants(self.popen.pid) if re.search(pattern, command_line(p))]


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
) -> Process:
    """Start a command in a folder, with these variables and no other ones."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(popen, log)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, if it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes that a process has started, and they, and so on."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, to_visit = [], [pid]
    while to_visit:
        below = children.get(to_visit.pop(), [])
        found += below
        to_visit += below
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The name of the command stands in parentheses and may have spaces: the rest follows.
            fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it is over
        if fields[0] != "Z":
            yield int(entry.name), int(fields[1])


def state_of(pid: int) -> str:
    """Return the state of a process as `ps` shows it, such as T for stopped; "" if it is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """Return the command line of a process, "" if it is over."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ")
    except OSError:
        return ""


def id_inside(pid: int) -> int:
    """Return the id that a process has in its own PID namespace; 0 if it is over."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0
    return int(re.findall(r"^NSpid:.*?(\d+)$", status, re.M)[0])


class StartedCluster(ABC):
    """A cluster that a `with` block starts and stops, also if its start fails."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def _start(self) -> None:
        """Start all processes, and wait until they are ready."""

    @abstractmethod
    def stop(self) -> None:
        """End all processes."""
