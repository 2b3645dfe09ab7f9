"""Java is started and ended without leaving a process behind. A shell script stands in for it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedrock_spark.spark.local.java_process import (
    JavaNotStartedError,
    JavaProcess,
    _delayed_signals,
)

SECONDS = 60.0


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt: it may be ignored, or another session may handle it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a script that PySpark starts in place of spark-submit."""
    script = tmp_path / "bin" / "spark-submit"
    script.parent.mkdir()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    return script


def write(script: Path, text: str) -> None:
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)


@pytest.mark.parametrize("code", [0, 1])
def test_java_that_ends_at_once(java: Path, code: int) -> None:
    """The error has what it printed. After the exit code 0, PySpark alone would wait for ever."""
    write(java, f"echo out; echo 'Error: no such class' >&2; exit {code}")
    with pytest.raises(JavaNotStartedError) as raised:
        JavaProcess().start({"spark.x": "1"}, is_quiet=True)
    assert sorted(raised.value.lines) == ["Error: no such class", "out"]


def test_java_that_is_missing(java: Path) -> None:
    """An installation without spark-submit is the same error."""
    with pytest.raises(JavaNotStartedError):
        JavaProcess().start({}, is_quiet=True)


def test_the_settings_are_passed(java: Path) -> None:
    write(java, 'echo "$@"')
    with pytest.raises(JavaNotStartedError) as raised:
        JavaProcess().start({"spark.x": "a b"}, is_quiet=True)
    (line,) = raised.value.lines  # another session of this process may have settings, too
    assert "--conf spark.x=a b " in line
    assert line.endswith(" pyspark-shell")


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM"])
def test_an_interrupt_while_java_starts(java: Path, tmp_path: Path, stubborn: str,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The process and its children end, also if they ignore SIGTERM."""
    monkeypatch.setattr("bedrock_spark.spark.local.java_process._PATIENCE_SECONDS", 0.2)
    (tmp_path / "pids").touch()
    write(java, f"{stubborn}\nsleep 1000 & echo $$ $! > {tmp_path}/pids\nwait")
    threading.Thread(target=interrupt_once_written, args=(tmp_path / "pids",)).start()
    with pytest.raises(KeyboardInterrupt):
        JavaProcess().start({}, is_quiet=True)
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_until_gone(pid)


def interrupt_once_written(file: Path) -> None:
    until = time.monotonic() + SECONDS
    while not file.read_text().strip() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


def wait_until_gone(pid: int) -> None:
    """Wait until a process is over. One whose parent has not asked for its exit code is over."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.strip()
        if not state or state.startswith("Z"):
            return
    raise AssertionError(f"the process {pid} is still there")


def test_a_signal_waits_until_the_process_is_recorded() -> None:
    """Its handler runs after the block, not within."""
    steps: list[str] = []

    def start() -> None:
        with _delayed_signals():
            signal.raise_signal(signal.SIGINT)
            steps.append("recorded")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert steps == ["recorded"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
