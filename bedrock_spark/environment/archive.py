"""Build the archive of all packages: environment-<python>-<architecture>.tar.gz.

The same packages give the same bytes: names are sorted; times, users and modes are fixed.
"""

from __future__ import annotations

import gzip
import re
import tarfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bedrock_spark.archives import ARCHITECTURES, archive_name
from bedrock_spark.environment.packages import copy_package, install, requirements
from bedrock_spark.environment.trim import trim
from bedrock_spark.errors import EnvironmentBuildError
from bedrock_spark.storage.scratch import scratch_folder

_OLDEST = (3, 11)
_VERSION = re.compile(r"(3)\.(\d+)")
# With an empty home, Python looks for its standard library where it was installed: wherever the
# launcher finds a Python, it is that Python's own library.
_VENV = "home =\ninclude-system-site-packages = false\nversion = {version}\n"


@dataclass(frozen=True)
class Built:
    """A file that was built.

    packed: bytes of the file
    unpacked: bytes of the files in it
    """

    path: Path
    packed: int
    unpacked: int


def build_environment(
    folder: Path, python: str, architecture: str, with_pandas: bool = True
) -> Built:
    """Build an archive with this package and all that it needs, except Spark; return it.

    Runs pip, which downloads wheels. An archive of the same name is replaced when all is done.

    folder: where the archive is written
    python: the version of the cluster's Python, such as "3.11"
    architecture: that of the cluster, a key of `ARCHITECTURES`
    with_pandas: whether drivers may use the archive, too; executors need no pandas
    Raises EnvironmentBuildError if the package does not run on that Python, or pip fails.
    """
    machine = ARCHITECTURES[architecture]
    match = _VERSION.fullmatch(python)
    if match is None or (int(match[1]), int(match[2])) < _OLDEST:
        raise EnvironmentBuildError(
            f"Python {python!r}: bedrock_spark runs on Python 3.11 and newer, and a version is "
            "written like 3.11"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder("environment") as root:
        site_packages = root / "lib" / f"python{python}" / "site-packages"
        site_packages.mkdir(parents=True)
        install(requirements(with_pandas), site_packages, python, machine)
        copy_package(site_packages)
        trim(site_packages)
        _add_launcher(root, python)
        path = folder / archive_name(python, machine)
        unpacked = _pack(root, path)
    return Built(path, path.stat().st_size, unpacked)


def _add_launcher(root: Path, python: str) -> None:
    text = resources.files(__package__).joinpath("launcher.sh").read_text(encoding="utf-8")
    for name in ("python", "python3"):
        launcher = root / "bin" / name
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(text.replace("@VERSION@", python), encoding="utf-8")
        launcher.chmod(0o755)
    (root / "pyvenv.cfg").write_text(_VENV.format(version=python), encoding="utf-8")


def _pack(root: Path, path: Path) -> int:
    """Write a folder as an archive, which has no folder of its own in front; return its bytes."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unpacked = 0
    with (
        unfinished.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for source in sorted(root.rglob("*")):
            entry = tar.gettarinfo(source, source.relative_to(root).as_posix())
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            is_program = entry.isdir() or source.parent == root / "bin"
            entry.mode = 0o755 if is_program else 0o644
            unpacked += entry.size
            if entry.isfile():
                with source.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    unfinished.replace(path)
    return unpacked
