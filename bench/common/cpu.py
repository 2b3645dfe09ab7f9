"""Measure the CPU time of this process and of all that it started: the JVM, Python workers.

On a machine that does other work, too, seconds mean little. CPU time varies less, and if all cores
are busy, it is what the seconds follow.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

_POLL_SECONDS = 0.5
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Of /proc/PID/stat after the name, which may hold spaces: the parent, and the ticks in user and
# system mode. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_PARENT, _USER, _SYSTEM = 1, 11, 12


class ProcessTicks:
    """The ticks of CPU of this process and its descendants, also of those that have ended."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}

    def measure(self) -> None:
        """Note the present ticks. The last 0.5 seconds of a process that ends may be missing."""
        children: dict[int, list[int]] = {}
        ticks: dict[int, int] = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = file.read_text().rpartition(")")[2].split()
            except OSError:  # the process has ended meanwhile
                continue
            pid = int(file.parent.name)
            children.setdefault(int(fields[_PARENT]), []).append(pid)
            ticks[pid] = int(fields[_USER]) + int(fields[_SYSTEM])
        tree = [os.getpid()]
        for pid in tree:  # grows in the loop
            if pid in ticks:
                self._ticks[pid] = ticks[pid]
                tree += children.get(pid, [])

    @property
    def total(self) -> int:
        """Return the ticks of all processes that were seen."""
        return sum(self._ticks.values())


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that a piece of work takes in all processes together."""
    ticks, done = ProcessTicks(), threading.Event()
    ticks.measure()
    before = ticks.total

    def watch() -> None:
        while not done.wait(_POLL_SECONDS):
            ticks.measure()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    ticks.measure()
    return (ticks.total - before) / _TICKS_PER_SECOND
