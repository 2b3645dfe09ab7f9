"""Processes of this machine: one that has ended for sure is told from one that may be at work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bedrock_spark.run_folder import processes
from bedrock_spark.run_folder.processes import is_alive, is_dead, start_of, this_place


def test_a_process_is_looked_up_without_a_signal() -> None:
    """It is alive, then a zombie, then gone."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        assert not is_dead(this_place(), child.pid)
        assert not is_dead("another machine", child.pid)
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
        assert child.wait() == 0
    assert is_dead(this_place(), child.pid) is (this_place() != "")


@pytest.mark.parametrize(
    ("error", "is_gone"), [(PermissionError, False), (ProcessLookupError, True), (None, False)]
)
def test_a_process_that_may_be_alive_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None, is_gone: bool
) -> None:
    """One of another user may not be signalled, and /proc may be hidden."""

    def kill(pid: int, number: int) -> None:
        assert number == 0
        if error is not None:
            raise error

    monkeypatch.setattr(processes, "this_place", lambda: "here")
    monkeypatch.setattr(os, "kill", kill)
    assert is_dead("here", 2**22 + 1) is is_gone


@pytest.mark.skipif(not start_of(os.getpid()), reason="there is no /proc")
def test_a_process_that_has_the_pid_of_another_is_not_taken_for_it() -> None:
    """PIDs are given again. Without the time of its start, it may be the process that is meant."""
    place, pid = this_place(), os.getpid()
    start = start_of(pid)
    assert (is_dead(place, pid, start), is_alive(place, pid, start)) == (False, True)
    assert (is_dead(place, pid, start - 1), is_alive(place, pid, start - 1)) == (True, False)
    assert (is_dead(place, pid), is_alive(place, pid)) == (False, False)
    assert (is_dead("other", pid, start), is_alive("other", pid, start)) == (False, False)


def test_without_proc_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: a process is neither dead nor alive for sure."""
    monkeypatch.setattr(processes, "this_place", lambda: "")
    monkeypatch.setattr(processes, "_stat", lambda pid: [])
    assert start_of(os.getpid()) == 0
    assert (is_dead("", os.getpid(), 0), is_alive("", os.getpid(), 1)) == (False, False)
