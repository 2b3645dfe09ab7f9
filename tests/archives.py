"""Unpack an archive of ours."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder, which is made; return the folder."""
    # Python has filters since 3.11.4, and warns from 3.12 on if none is given.
    options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(folder, **options)
    return folder
