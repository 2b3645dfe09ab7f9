"""The operations on objects that the pipeline needs, as a protocol.

Every write is atomic: an object is never visible half-written under its final name. A Storage can
be pickled and sent to executors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bedrock_spark.errors import ObjectChangedError, StorageError

# How many parts of an object are uploaded while its writer goes on. Memory holds these parts and
# one more. Two, because bytes often come in batches of about 10 MB: with one, the second part of a
# batch would wait for the first, and the latency of the store with it.
PARTS_BEHIND = 2


class StoredObject(msgspec.Struct, frozen=True, gc=False):
    """An object as a listing shows it. `version` changes if the content changes."""

    key: str
    size: int
    version: str


class ObjectWriter(Protocol):
    """An object while it is written. It appears with `commit`, whole; without, it never does.

    size: the bytes that were written so far
    """

    size: int

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes; return how many. Raises StorageError, also for bytes of earlier calls."""
        ...

    def commit(self) -> str:
        """Make the object visible, in place of an existing one; return its version."""
        ...

    def abort(self) -> None:
        """Delete what was written, unless it was committed."""
        ...


class Storage(Protocol):
    """Objects below one URI. Keys are relative to it, with `/` between their parts."""

    uri: str

    def read(self, key: str) -> bytes:
        """Return an object's bytes. Raises StorageError, also if the object does not exist."""
        ...

    def read_if_present(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if the object does not exist."""
        ...

    def read_range(self, key: str, start: int, stop: int, version: str | None = None) -> bytes:
        """Return the bytes of an object from `start` up to `stop`, or fewer if it ends before.

        version: the only one that is read, as listings show it; None reads any
        Raises StorageError, also if the object does not exist, and ObjectChangedError if it has
        another version.
        """
        ...

    def write(self, key: str, data: bytes) -> str:
        """Write an object, and replace an existing one; return its version, as listings show it."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Write an object that does not exist yet. Raises AlreadyExistsError if it exists.

        If two callers do this at the same time, exactly one succeeds.
        """
        ...

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and their version, or None if the object does not exist."""
        ...

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        """Compare and swap: write an object if its version is `version`; return the new version.

        version: None if the object must not exist yet
        Raises ObjectChangedError if the version is another. If two callers do this at the same
        time, exactly one succeeds.
        """
        ...

    def writer(self, key: str, behind: int = PARTS_BEHIND) -> ObjectWriter:
        """Begin an object whose bytes are written piece by piece; see `ObjectWriter`.

        behind: how many parts of 5 MB S3 gets while the caller makes more bytes. Memory holds these
            and one more. Two do for 100 MB a second, if a call takes 30 ms.
        """
        ...

    def upload(self, path: Path, key: str) -> None:
        """Write a local file as an object, and replace an existing one."""
        ...

    def download(self, key: str, path: Path, size: int | None = None) -> None:
        """Copy an object into a local file. If that fails, there is no file.

        size: of the object in bytes; with it, a copy from S3 takes one latency less
        Raises StorageError, also if the object does not exist or has another size, and
        ObjectChangedError if it is replaced meanwhile.
        """
        ...

    def fetch(self, key: str, path: Path, size: int | None = None) -> Path:
        """Return a local file with an object's bytes: its own file, or a copy at `path`.

        The file must not be changed. For `size` and errors, see `download`.
        """
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. An object that does not exist is no error."""
        ...

    def keeps_versions(self, key: str) -> bool:
        """Tell whether the store keeps the bytes of an object that is deleted or replaced.

        key: of an object that exists; only for it the answer is known
        """
        ...

    def list(self, prefix: str) -> list[StoredObject]:
        """Return every object whose key begins with a prefix, in the order of keys."""
        ...

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every object whose key begins with a prefix, as it is listed.

        Those below one folder come one after another. Memory holds one page of the listing.
        """
        ...

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders right below a folder, each with a `/` at its end, in order.

        prefix: the folder, with a `/` at its end, or "" for the storage itself
        """
        ...

    def delete_leftovers(self, prefixes: Sequence[str], before: float) -> int:
        """Delete what killed writes left behind before a time; return how many leftovers.

        prefixes: of the keys of large objects, which S3 takes in parts
        before: in seconds since the epoch
        """
        ...


def wrong_size(place: str, key: str, found: int, expected: int) -> StorageError:
    """Return the error for an object that has other bytes than were written."""
    text = f"{place}: has {found} bytes, not {expected} as it was written; restore it"
    return StorageError(text, key=key)


def changed_while_read(place: str, key: str) -> ObjectChangedError:
    """Return the error for an object that got another version while it was read."""
    text = f"{place}: was written again while it was read; run the same command again"
    return ObjectChangedError(text, key=key)
