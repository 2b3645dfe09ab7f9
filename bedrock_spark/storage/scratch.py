"""Scratch folders: local files of a task that outlive no process for long.

A scratch folder is a folder in the system's temporary folder, deleted at the end of its block. If
its process is killed, the next process of this user that makes one deletes it. A lock on the folder
(flock) shows that its process lives: the kernel releases it at the process's death, however it
dies. A process id would not do: it is reused, and means nothing in another container.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".bedrock-spark-scratch-"
# Purpose, process id, random characters. No folder that a user names is taken for one of ours.
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z]+-\d+-\w{8}")
# The processes that have already looked for abandoned folders.
_swept_by: set[int] = set()


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Make an empty folder for the block; only this user can read it.

    purpose: a part of its name, for people
    """
    if os.getpid() not in _swept_by:
        _swept_by.add(os.getpid())
        delete_abandoned()
    folder, lock = _locked_folder(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def delete_abandoned() -> None:
    """Delete the scratch folders of this user whose processes are dead."""
    with os.scandir(tempfile.gettempdir()) as entries:
        folders = [Path(entry) for entry in entries if _NAME.fullmatch(entry.name)]
    for folder in folders:
        if not _is_ours(folder):
            continue
        lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked_folder(purpose: str) -> tuple[Path, int | None]:
    """Make a folder; return it with the open file that holds its lock.

    On a file system without locks there is none, and nobody deletes a killed process's folder.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-{os.getpid()}-"))
        lock = _lock(folder, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        # Another process took the new folder for an abandoned one before it was locked.
        if lock is not None:
            os.close(lock)


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
