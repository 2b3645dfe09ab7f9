"""Start Spark's Java process, and end it: nothing of it may outlive this process.

PySpark alone leaves it behind if it is interrupted while Java starts: Java then cannot write its
port into a folder that PySpark has deleted, and its other threads keep it alive. And it returns no
handle of the process before Java has started. So its Popen is replaced while it starts.

Java has a process group of its own. A Ctrl-C of the terminal thus reaches neither Java nor Spark's
Python workers, which would answer it with stack traces; this process alone decides when they end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pyspark import SparkConf, SparkContext, java_gateway

from bedrock_spark.spark.local.java_output import JavaOutput

# How long Java may take to end by itself, which deletes its temporary folders.
_PATIENCE_SECONDS = 10.0
_PYSPARK: Any = java_gateway
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class JavaNotStartedError(Exception):
    """Java ended before Spark had started. `lines` is what it printed."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("Spark's Java process ended")
        self.lines = lines


class JavaProcess:
    """The Java process that `start` started, until `end`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._output: JavaOutput | None = None
        self._has_started = False

    def start(self, settings: Mapping[str, str], *, is_quiet: bool) -> None:
        """Start Java with these settings of Spark, for the next session of this process.

        is_quiet: hold back what it prints while it starts
        Raises JavaNotStartedError. If this is interrupted, Java is ended first.
        """
        conf = SparkConf()
        for name, value in settings.items():
            conf.set(name, value)
        self._output = JavaOutput()
        if not is_quiet:
            self._output.pass_on()
        streams = {"stdout": self._output.writer, "stderr": self._output.writer}
        try:
            with self._recorded_popen():
                gateway = _PYSPARK.launch_gateway(conf, {**streams, "process_group": 0})
            SparkContext._ensure_initialized(gateway=gateway)
        except Exception as exc:
            self._output.close_writer()
            self.end()
            raise JavaNotStartedError(self._output.held()) from exc
        except BaseException:
            self.end()
            raise
        finally:
            self._output.close_writer()
        self._has_started = True

    def show_output(self) -> None:
        """Spark has started: show what Java prints from now on."""
        if self._output is not None:
            self._output.pass_on()

    def mute(self) -> None:
        """Show nothing more of what Java prints. Needs no lock: a signal handler may call it."""
        if self._output is not None and self._has_started:
            self._output.mute()

    def end(self) -> None:
        """End Java and Spark's Python workers. If none was started, or it is over, do nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        self.mute()
        try:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()  # PySpark's way to ask Java to end
            if not self._has_started:
                _signal_group(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_SECONDS)
        finally:  # also if the user loses patience and interrupts once more
            _signal_group(process, signal.SIGKILL)
            process.wait()

    @contextmanager
    def _recorded_popen(self) -> Iterator[None]:
        """Keep the process that PySpark starts within the block."""
        original = _PYSPARK.Popen

        def popen(*args: Any, **kwargs: Any) -> Any:
            with _delayed_signals():
                process = self._process = original(*args, **kwargs)
            return _Exited(process)

        _PYSPARK.Popen = popen
        try:
            yield
        finally:
            _PYSPARK.Popen = original


class _Exited:
    """A process whose `poll` is true once it is over.

    PySpark waits for `poll` to be true, so it waits forever for a Java that exits with 0.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def poll(self) -> bool:
        return self._process.poll() is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def _delayed_signals() -> Iterator[None]:
    """Deliver signals after the block, so that a process never starts without being recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda *signalled: arrived.append(signalled))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    for number_, frame in arrived[:1]:
        handled[signal.Signals(number_)](number_, frame)
