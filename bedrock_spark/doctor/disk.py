"""Free space in the folders of local files: of shuffles, and of the files of a shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bedrock_spark.doctor.findings import Finding, error, ok, warning

# A shard's lines, its rows and its answers are local files for a while (docs/memory.md), and
# Spark shuffles the source once.
_LEAST_BYTES, _FEW_BYTES = 1_000_000_000, 5_000_000_000


def disk_findings(places: Iterable[tuple[str, int]], whose: str) -> Iterator[Finding]:
    """Yield whether folders have room for local files.

    places: folders with their free bytes; whose: the machine, for messages
    """
    for folder, free in places:
        what = f"{whose}: {folder} has {free / 1e9:,.1f} GB free"
        fix = "export SPARK_LOCAL_DIRS=/A/LARGER/DISK TMPDIR=/A/LARGER/DISK"
        if free < _LEAST_BYTES:
            yield error(f"{what}; a shard alone may need 1 GB", fix)
        elif free < _FEW_BYTES:
            yield warning(f"{what}; Spark shuffles the source there", fix)
        else:
            yield ok(what)
