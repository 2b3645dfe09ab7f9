"""The environment of executors: what `bedrock-spark environment` builds."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from bedrock_spark.archives import ARCHITECTURES
from bedrock_spark.environment import build_environment
from bedrock_spark.environment.packages import requirements
from tests.modules import ROOT

_CACHE = ROOT / ".cluster"


def packed_environment() -> Path:
    """Return an archive with this package, for this Python; make it if something has changed.

    That is the code, or the packages that it needs, by the metadata of what is installed.
    """
    digest = hashlib.sha256(sys.version.encode())
    digest.update("\n".join(sorted(requirements(with_pandas=True))).encode())
    for file in sorted((ROOT / "bedrock_spark").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.read_bytes())
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    archive = _CACHE / f"environment-{version}-{digest.hexdigest()[:16]}.tar.gz"
    if not archive.exists():
        arch = ARCHITECTURES[platform.machine().lower()]
        built = build_environment(_CACHE / "built", version, arch, with_pandas=True)
        for old in _CACHE.glob(f"environment-{version}-*.tar.gz"):
            old.unlink()
        shutil.move(built.path, archive)
    return archive
