"""The files of a source: how many, how large, and which of them are read for a few rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config.formats import is_compressed
from bedrock_spark.errors import SourceError
from bedrock_spark.s3_spelling import as_s3
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.storage import Storage, StoredObject, open_storage
from bedrock_spark.storage.range_file import RangeFile

# Of a source of more files, rows are only read from as many.
MOST_FILES = 16


@dataclass(frozen=True)
class SourceFiles:
    """The files of a source. It may have a million: only a few of them are kept.

    chosen: those that rows are read from: the first ones by name, or some at random
    files, size: of all, in number and in bytes
    """

    storage: Storage
    chosen: tuple[StoredObject, ...]
    files: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Tell whether all files are chosen."""
        return len(self.chosen) == self.files

    def open(self, file: StoredObject) -> RangeFile:
        """Return a file that is read by ranges."""
        return RangeFile(self.storage, file.key, file.size, file.version)


def find_files(path: str, aws: AwsSettings, seed: int | None) -> SourceFiles:
    """List the files of a source: a file, or those below a folder which Spark would read.

    seed: None for the first files, else files at random
    Raises SourceError if there are none, StorageError, and NeedsSparkError.
    """
    folder, name = _split(as_s3(path).rstrip("/"))
    storage = open_storage(folder, aws)
    chosen: list[StoredObject] = []
    dice = random.Random(seed)
    files = size = 0
    for stored in _readable(storage, name):
        files, size = files + 1, size + stored.size
        if len(chosen) < MOST_FILES:
            chosen.append(stored)
        elif seed is None:
            # A local folder is not listed in order.
            last = max(range(len(chosen)), key=lambda n: chosen[n].key)
            if stored.key < chosen[last].key:
                chosen[last] = stored
        elif (place := dice.randrange(files)) < MOST_FILES:
            # Reservoir sampling (Algorithm R): every file is chosen with the same probability.
            chosen[place] = stored
    if not files:
        raise SourceError(f"source.path = {path!r}: has no file")
    return SourceFiles(storage, tuple(sorted(chosen, key=lambda s: s.key)), files, size)


def _split(path: str) -> tuple[str, str]:
    """Return the folder to list, and what the keys in it begin with."""
    scheme, mark, rest = path.rpartition("://")
    above, slash, name = rest.rpartition("/")
    if mark:
        return (f"{scheme}{mark}{above}", name) if slash else (path, "")
    if not slash:
        return ".", name
    return above or "/", name


def _readable(storage: Storage, name: str) -> Iterator[StoredObject]:
    """Yield the files that Spark would read: not those whose names begin with `_` or a dot."""
    for stored in storage.scan(name):
        inner = stored.key.removeprefix(name)
        if name and inner and not inner.startswith("/"):
            continue  # another file whose name begins alike
        parts = inner.strip("/").split("/") if inner.strip("/") else []
        if any("=" in part for part in parts[:-1]):
            raise NeedsSparkError("the folder is partitioned, as in day=2026-11-27")
        if any(part.startswith(("_", ".")) for part in parts) or not stored.size:
            continue
        if is_compressed(stored.key):
            raise NeedsSparkError("some files are compressed")
        yield stored
