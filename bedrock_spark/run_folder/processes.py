"""Which process a lease or a claim names, and whether it has ended for sure.

Only processes of this machine can be looked up, and two machines may be copies of one
(`machine.py`). A PID alone does not name a process: PIDs are given
again, and a restarted container has the same PID, and often the same PID namespace, as the one
before. So the time of the process's start belongs to its name.
"""

from __future__ import annotations

import os
from pathlib import Path

from bedrock_spark.run_folder.machine import machine_id


def this_place() -> str:
    """Identify machine, boot and PID namespace: a PID means something only there. "" if unknown."""
    machine = machine_id()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{machine}/{boot}/{Path('/proc/self/ns/pid').readlink()}" if machine else ""
    except OSError:
        return ""


def start_of(pid: int) -> int:
    """Return when a process of this machine began, in clock ticks since boot. 0 if unknown.

    Source: proc(5), /proc/pid/stat, field 22.
    """
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else 0


def is_dead(place: str, pid: int, start: int = 0) -> bool:
    """Tell whether a process has ended for sure.

    place, pid, start: of the process, as the functions above return them in it
    """
    return place == this_place() and not _is_alive(pid, start)


def is_alive(place: str, pid: int, start: int = 0) -> bool:
    """Tell whether a process is at work for sure."""
    return place == this_place() != "" and start > 0 and _is_alive(pid, start)


def _is_alive(pid: int, start: int) -> bool:
    if not this_place():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if start and start_of(pid) not in (0, start):
        return False  # another process has its PID
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Tell whether a process has ended but was not reaped: in containers that may last."""
    return _stat(pid)[:1] == ["Z"]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/pid/stat from the third, the state, on. None of them if hidden."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
