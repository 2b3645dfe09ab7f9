"""The formats of tables: their names, the file names that tell them, what they cannot hold."""

from __future__ import annotations

import difflib
from pathlib import PurePosixPath

# Spark's own sources, those of its usual packages, and text formats.
READABLE = (
    *("parquet", "orc", "json", "csv", "text", "avro", "delta", "iceberg", "hudi", "xml"),
    *("jdbc", "binaryFile", "image", "kafka", "mongodb", "bigquery", "snowflake", "redshift"),
)
WRITABLE = tuple(name for name in READABLE if name not in ("binaryFile", "image"))
# They hold single values only, and every result has columns with arrays.
FLAT = ("csv", "text")
# Tables that keep a log of their own in their folder: a table inside another would confuse them.
LAKE = ("delta", "iceberg", "hudi")
_BY_SUFFIX = {
    **{f".{name}": name for name in ("parquet", "orc", "json", "csv", "avro", "xml")},
    ".jsonl": "json",
    ".ndjson": "json",
}
_COMPRESSIONS = (".gz", ".bz2", ".zst", ".snappy", ".xz", ".lz4", ".deflate")


def format_of_path(path: str) -> str | None:
    """Return the format that a file's name tells; None if it tells none."""
    name = PurePosixPath(path.rstrip("/").lower())
    if name.suffix in _COMPRESSIONS:
        name = name.with_suffix("")
    return _BY_SUFFIX.get(name.suffix)


def is_compressed(path: str) -> bool:
    """Tell whether a file's name says that the whole file is compressed."""
    return path.lower().endswith(_COMPRESSIONS)


def misspelt(name: str, known: tuple[str, ...]) -> str | None:
    """Return the format that a name is nearly equal to; None if it may be another's own format."""
    lowered = {option.lower(): option for option in known}
    if name.lower() in lowered or "." in name:
        return None
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.7)
    return lowered[close[0]] if close else None


def format_faults(source: str | None, results: str, *, is_published: bool) -> list[str]:
    """Return what is wrong with the names of the formats.

    is_published: whether the results have a place outside of the run folder
    """
    faults = []
    for key, name, known in (
        ("source.format", source, READABLE),
        ("results.format", results, WRITABLE),
    ):
        meant = misspelt(name, known) if name is not None else None
        if meant is not None:
            faults.append(f"{key} = {name!r}: is no format of Spark; did you mean {meant}?")
    if is_published and results.lower() in FLAT:
        faults.append(
            f"results.format = {results!r}: cannot hold the columns embedding and images, which "
            "are arrays; use a format with types: parquet, orc, json or delta"
        )
    return faults
