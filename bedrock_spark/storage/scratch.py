"""Scratch folders: local files of a task that outlive no process for long.

A scratch folder is deleted at the end of its block. It is on a disk that Spark uses for local
files, as that has room for them; in a process outside of Spark, in the system's temporary folder.
If its process is killed, the next process of this user that makes one there deletes it. A lock on
the folder (flock) shows that its process lives: the kernel releases it at the process's death,
however it dies. A process id would not do: it is reused, and means nothing in another container.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".bedrock-spark-scratch-"
# Purpose, process id, random characters. No folder that a user names is taken for one of ours.
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z]+-\d+-\w{8}")
# A process looks for abandoned folders before its first one, and again after this time.
_SWEEP_SECONDS = 60.0
# When each process did so last, by its id: a fork is another process.
_swept_at: dict[int, float] = {}


@contextmanager
def scratch_folder(purpose: str, local_dirs: Sequence[Path] = ()) -> Iterator[Path]:
    """Make an empty folder for the block; only this user can read it.

    purpose: a part of its name, for people
    local_dirs: Spark's `spark.local.dir`, in a process that Spark does not tell it: the driver
    It is where the most bytes are free. Raises OSError if no folder can be made.
    """
    places = _places(local_dirs)
    now = time.monotonic()
    if now - _swept_at.get(os.getpid(), -math.inf) >= _SWEEP_SECONDS:
        _swept_at[os.getpid()] = now
        delete_abandoned(local_dirs)
    folder, lock = _locked_folder(purpose, places)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def delete_abandoned(local_dirs: Sequence[Path] = ()) -> None:
    """Delete the scratch folders of this user whose processes are dead, in all places."""
    for folder in (folder for place in _places(local_dirs) for folder in _scratch_folders(place)):
        if not _is_ours(folder):
            continue
        lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _places(local_dirs: Sequence[Path] = ()) -> list[Path]:
    """Return the folders in which this process may make scratch folders.

    Spark gives a Python worker the folders of its block manager, and those lie in the local folder
    of the executor. That is where scratch folders go: it outlives the block manager, so another
    executor finds what a killed one left. YARN names a container's local folders in LOCAL_DIRS.
    https://spark.apache.org/docs/latest/configuration.html#application-properties (spark.local.dir)
    """
    for variable in ("SPARK_LOCAL_DIRS", "LOCAL_DIRS"):
        named = [Path(text) for text in os.environ.get(variable, "").split(",") if text.strip()]
        folders = [path.parent if path.name.startswith("blockmgr-") else path for path in named]
        places = [path for path in folders if os.access(path, os.W_OK | os.X_OK)]
        if places:
            return list(dict.fromkeys(places))
    places = [path for path in local_dirs if os.access(path, os.W_OK | os.X_OK)]
    return list(dict.fromkeys(places)) or [Path(tempfile.gettempdir())]


def free_space() -> list[tuple[Path, int]]:
    """Return the folders in which this process keeps local files, each with its free bytes."""
    return [(place, _free_bytes(place)) for place in _places()]


def _scratch_folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [Path(entry) for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return []  # a folder that may be written into need not be readable


def _free_bytes(place: Path) -> int:
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return 0  # a disk that fails is chosen last


def _locked_folder(purpose: str, places: Sequence[Path]) -> tuple[Path, int | None]:
    """Make a folder; return it with the open file that holds its lock.

    On a file system without locks there is none, and nobody deletes a killed process's folder.
    """
    while True:
        folder = _new_folder(f"{_PREFIX}{purpose}-{os.getpid()}-", places)
        lock = _lock(folder, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        # Another process took the new folder for an abandoned one before it was locked.
        if lock is not None:
            os.close(lock)


def _new_folder(prefix: str, places: Sequence[Path]) -> Path:
    """Make a folder in the place with the most free bytes; in the next one if that disk fails."""
    *others, last = sorted(places, key=_free_bytes, reverse=True)
    for place in others:
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    return Path(tempfile.mkdtemp(prefix=prefix, dir=last))


def _lock(folder: Path, how: int) -> int | None:
    """Return an open file that locks a folder; None if another one does, or it is gone."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(opened, how)
    except OSError:
        os.close(opened)
        return None
    return opened


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
