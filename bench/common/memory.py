"""Measure the peak memory of a Spark session's processes, by the kernel's own counts.

VmHWM is the largest resident set, VmPeak the largest address space.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.2
# The counts are in kB.
_MEGABYTE = 1024


class Peaks:
    """The largest resident set of this process, of its JVM, and of any one Python worker."""

    def __init__(self) -> None:
        self._workers: dict[int, int] = {}
        self._address_space = 0
        self._jvm = 0

    def measure(self) -> None:
        """Note the present peaks of the Python workers and of the JVM."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                is_worker, is_jvm = b"pyspark.daemon" in command, b"java" in command.split(b"\0")[0]
                peak = _peak_of(folder) if is_worker or is_jvm else 0
            except OSError:  # the process has ended meanwhile
                continue
            if peak and _is_descendant(int(folder.name)):
                if is_worker:
                    self._workers[int(folder.name)] = peak
                    space = _peak_of(folder, "VmPeak")
                    self._address_space = max(self._address_space, space)
                else:
                    self._jvm = max(self._jvm, peak)

    @property
    def worker_megabytes(self) -> float:
        """Return the peak of the largest Python worker."""
        return max(self._workers.values(), default=0) / _MEGABYTE

    @property
    def worker_address_megabytes(self) -> float:
        """Return the largest address space of a Python worker, which ulimit -v would limit."""
        return self._address_space / _MEGABYTE

    @property
    def jvm_megabytes(self) -> float:
        """Return the peak of the JVM, which is both driver and executor."""
        return self._jvm / _MEGABYTE

    @property
    def driver_megabytes(self) -> float:
        """Return the peak of this process."""
        return _peak_of(Path("/proc/self")) / _MEGABYTE


def begin_peak() -> float:
    """Forget the peak of this process up to now; return the megabytes that it has."""
    own = Path("/proc/self")
    (own / "clear_refs").write_text("5")  # man proc_pid_clear_refs
    return _peak_of(own, "VmRSS") / _MEGABYTE


@contextmanager
def watched() -> Iterator[Peaks]:
    """Measure the peaks while the block runs."""
    peaks, done = Peaks(), threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_SECONDS):
            peaks.measure()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
        peaks.measure()
    finally:
        done.set()
        thread.join()


def _peak_of(folder: Path, count: str = "VmHWM") -> int:
    for line in (folder / "status").read_text().splitlines():
        if line.startswith(f"{count}:"):
            return int(line.split()[1])
    return 0


def _is_descendant(pid: int) -> bool:
    """Tell whether a process is this one, or was started by it directly or indirectly."""
    own = int(Path("/proc/self").resolve().name)
    while pid > 1:
        if pid == own:
            return True
        try:
            status = (Path("/proc") / str(pid) / "status").read_text()
        except OSError:
            return False
        pid = int(next(s for s in status.splitlines() if s.startswith("PPid:")).split()[1])
    return False
