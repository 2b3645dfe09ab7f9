"""What the pipeline asks of storage.

Every write is whole or not there: an object is never visible half-written under its final name.
A Storage can be pickled and sent to executors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it. `version` changes whenever its content does."""

    key: str
    size: int
    version: str


class Storage(Protocol):
    """Keys are relative to the storage's URI, with `/` between their parts."""

    uri: str

    def read(self, key: str) -> bytes:
        """Return an object's bytes. Raises StorageError, also where there is none."""
        ...

    def read_if_present(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is no such object."""
        ...

    def read_head(self, key: str, max_bytes: int) -> bytes:
        """Return at most so many bytes from an object's beginning. Raises StorageError."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put an object, replacing what was there."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Put an object where none is. Raises AlreadyExistsError; exactly one of two wins."""
        ...

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and their version, or None where there is no such object."""
        ...

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        """Put an object where this version is (None: where none is); return the new version.

        Raises ObjectChangedError where something else is there; exactly one of two wins.
        """
        ...

    def upload(self, path: Path, key: str) -> None:
        """Put a local file as an object, replacing what was there."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy an object into a local file."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that is not there is no error."""
        ...

    def list(self, prefix: str) -> list[StoredObject]:
        """Return every object below a prefix, by key."""
        ...
