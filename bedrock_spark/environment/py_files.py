"""Build the zip for `--py-files`: this package alone, for clusters that have what it needs.

Spark puts a .zip on the path of driver and executors, and Python imports from it. A wheel is not
put there: Spark takes .py, .zip and .egg files only.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from bedrock_spark._version import __version__
from bedrock_spark.environment.archive import Built
from bedrock_spark.environment.packages import copy_package
from bedrock_spark.storage.scratch import scratch_folder

# The oldest time that a zip can hold, so that the same files give the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def build_py_files(folder: Path) -> Built:
    """Write bedrock_spark-<version>.zip into a folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bedrock_spark-{__version__}.zip"
    unfinished = path.with_name(f".{path.name}.unfinished")
    unpacked = 0
    with scratch_folder("pyfiles") as root:
        copy_package(root)
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for source in sorted(root.rglob("*")):
                if source.is_file():
                    name = source.relative_to(root).as_posix()
                    entry = zipfile.ZipInfo(name, _TIME)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, source.read_bytes())
                    unpacked += source.stat().st_size
    unfinished.replace(path)
    return Built(path, path.stat().st_size, unpacked)
