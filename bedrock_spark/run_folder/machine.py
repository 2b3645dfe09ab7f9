"""An id of this machine that a copy of the machine does not have.

The boot id and the PID namespace are the same in two virtual machines that were restored from one
snapshot: https://github.com/firecracker-microvm/firecracker/blob/main/docs/snapshotting/random-for-clones.md.
So the first process of this package that needs one draws a random id and leaves it in /tmp. Copies
that were made before that draw ids of their own. Copies made after it have the same one and cannot
be told apart.

A container has a /tmp of its own, as a rule: when it was started again, it counts as another
machine.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

# Not $TMPDIR, which may differ from process to process.
FOLDER = Path("/tmp")
_NAME = ".bedrock-spark-machine-{uid}"
_ID = re.compile(r"[0-9a-f]{32}")


def machine_id() -> str:
    """Return the id of this machine for this user; "" if no id can be kept here.

    It is read each time: somebody may have emptied the folder.
    """
    path = FOLDER / _NAME.format(uid=os.getuid())
    try:
        return _read(path) or _draw(path)
    except OSError:
        return ""


def _read(path: Path) -> str:
    """Return the id in a file; "" if there is none. Raises OSError if the file is not this user's.

    Anybody may write to this folder.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    with os.fdopen(opened, "rb") as file:
        if os.fstat(opened).st_uid != os.getuid():
            raise PermissionError(f"{path}: belongs to another user")
        found = file.read(64).decode("ascii", "replace")
    if not _ID.fullmatch(found):
        raise OSError(f"{path}: holds no id")
    return found


def _draw(path: Path) -> str:
    """Leave a new id, unless another process does so first; return the one that is there."""
    unfinished = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
    opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(opened, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(16))
        with suppress(FileExistsError):
            os.link(unfinished, path)  # all at once: nobody reads half an id
    finally:
        unfinished.unlink()
    return _read(path)
