"""Objects in a local folder, for runs without S3 and for tests.

A write goes to a temporary file beside the final one and is then renamed. A create-only write is a
hard link: by POSIX, link() fails if the name exists. Files and folders have the permissions that
the user's umask leaves.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bedrock_spark.errors import AlreadyExistsError, ObjectChangedError, StorageError
from bedrock_spark.storage.base import PARTS_BEHIND, StoredObject, changed_while_read, wrong_size

_TEMPORARY = ".writing-"
_LOCK = ".lock-"


class LocalStorage:
    """Storage in a folder. The first write creates the folder."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.root = Path(uri.removeprefix("file://")).absolute()

    def _path(self, key: str) -> Path:
        return self.root / key

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        data = self.read_if_present(key)
        if data is None:
            raise StorageError(f"{self._path(key)}: there is no such file", key=key)
        return data

    def read_if_present(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if the object does not exist."""
        with _storage_errors(self._path(key)):
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                return None

    def read_range(self, key: str, start: int, stop: int, version: str | None = None) -> bytes:
        """Return the bytes of the file from `start` up to `stop`."""
        path = self._path(key)
        with _storage_errors(path), path.open("rb") as file:
            if version is not None and version != _version(os.fstat(file.fileno())):
                raise changed_while_read(str(path), key)
            file.seek(start)
            return file.read(stop - start)

    def write(self, key: str, data: bytes) -> str:
        """Write an object: a temporary file, then a rename, which keeps its time and size."""
        with self._temporary(key) as temporary:
            temporary.write_bytes(data)
            version = _version(temporary.stat())
            temporary.replace(self._path(key))
        return version

    def create(self, key: str, data: bytes) -> None:
        """Write an object that does not exist yet: a temporary file, then a hard link."""
        with self._temporary(key) as temporary:
            temporary.write_bytes(data)
            try:
                self._path(key).hardlink_to(temporary)
            except FileExistsError as exc:
                raise AlreadyExistsError(f"{self._path(key)}: exists already", key=key) from exc

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and, as version, their SHA-256; None if it does not exist."""
        data = self.read_if_present(key)
        return None if data is None else (data, _digest(data))

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        """Compare and swap under an exclusive lock on a file beside the object."""
        with self._locked(key):
            current = self.read_version(key)
            if version != (current[1] if current else None):
                raise ObjectChangedError(f"{self._path(key)}: was changed meanwhile", key=key)
            self.write(key, data)
        return _digest(data)

    def writer(self, key: str, behind: int = PARTS_BEHIND) -> LocalWriter:
        """Begin an object: a temporary file beside it, which `commit` renames."""
        return LocalWriter(self._path(key))

    def upload(self, path: Path, key: str) -> None:
        """Hard-link a file to a temporary name, or copy it from another disk; then rename it."""
        with self._temporary(key) as temporary:
            mode = stat.S_IMODE(temporary.stat().st_mode)
            temporary.unlink()
            try:
                temporary.hardlink_to(path)
            except OSError:
                shutil.copyfile(path, temporary)
            temporary.chmod(mode)
            temporary.replace(self._path(key))

    def download(self, key: str, path: Path, size: int | None = None) -> None:
        """Copy the object's file to a path."""
        own = self.fetch(key, path, size)
        with _storage_errors(own):
            shutil.copyfile(own, path)

    def fetch(self, key: str, path: Path, size: int | None = None) -> Path:
        """Return the object's own file."""
        own = self._path(key)
        with _storage_errors(own):
            found = own.stat().st_size
        if size is not None and size != found:
            raise wrong_size(str(own), key, found, size)
        return own

    def delete(self, keys: Sequence[str]) -> None:
        """Unlink files."""
        for key in keys:
            with _storage_errors(self._path(key)):
                self._path(key).unlink(missing_ok=True)

    def keeps_versions(self, key: str) -> bool:
        """Return False: a file that is deleted is gone."""
        return False

    def list(self, prefix: str) -> list[StoredObject]:
        """Return the objects in the order of keys."""
        return sorted(self.scan(prefix), key=lambda o: o.key)

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Walk the folder that the prefix names, or the one above it, folder by folder."""
        begin = len(f"{self.root}".rstrip("/")) + 1
        for folder, names in self._folders_of_files(prefix):
            above = f"{folder}/"[begin:]
            rest = prefix[len(above) :]  # what a name must begin with; all names of a deeper folder
            # By its descriptor: the kernel does not walk along the path to it for every file.
            with _opened(folder) as opened:
                for name in names:
                    if name.startswith(rest) and not name.startswith((_TEMPORARY, _LOCK)):
                        yield from _stored(f"{above}{name}", name, opened)

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the subfolders of a folder; none of a folder that does not exist."""
        folder = self._path(prefix)
        with _storage_errors(folder):
            if not folder.is_dir():
                return []
            return sorted(f"{prefix}{path.name}/" for path in folder.iterdir() if path.is_dir())

    def delete_leftovers(self, prefixes: Sequence[str], before: float) -> int:
        """Unlink old temporary files of any key. Never a lock: another process may hold it."""
        deleted = 0
        files = ((Path(folder), names) for folder, names in self._folders_of_files(""))
        for path in (folder / name for folder, names in files for name in names):
            if path.name.startswith(_TEMPORARY):
                with _storage_errors(path), suppress(FileNotFoundError):
                    # ctime, because a hard link to an old file has its old mtime.
                    if path.stat().st_ctime < before:
                        path.unlink()
                        deleted += 1
        return deleted

    def _folders_of_files(self, prefix: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield the folder that the prefix names, or the one above, and all below it.

        Each comes with the names of its files, in order.

        Of the one above, only those folders are walked whose names fit: a run folder may have many
        files besides the one that is looked for.
        """
        above = prefix[: prefix.rfind("/") + 1]
        is_first = True
        for folder, subfolders, names in os.walk(self._path(above or ".")):
            if is_first:
                subfolders[:] = [n for n in subfolders if f"{above}{n}/".startswith(prefix)]
                is_first = False
            subfolders.sort()
            names.sort()
            yield folder.rstrip("/"), names

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        path = self._path(key)
        with _storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_name(f"{_LOCK}{path.name}").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or this process dies
                yield

    @contextmanager
    def _temporary(self, key: str) -> Iterator[Path]:
        with _storage_errors(self._path(key)):
            temporary = _new_temporary(self._path(key))
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)


class LocalWriter:
    """A file while it is written; see `ObjectWriter`."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        with _storage_errors(path):
            self._temporary = _new_temporary(path)
            self._file = self._temporary.open("wb")

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes."""
        with _storage_errors(self._path):
            self._file.write(data)
        self.size += len(data)
        return len(data)

    def commit(self) -> str:
        """Rename the temporary file, which keeps its time and size."""
        with _storage_errors(self._path):
            self._file.close()
            version = _version(self._temporary.stat())
            self._temporary.replace(self._path)
        return version

    def abort(self) -> None:
        """Unlink the temporary file."""
        with _storage_errors(self._path):
            with suppress(OSError):  # the disk is full, and bytes of earlier calls wait for it
                self._file.close()
            self._temporary.unlink(missing_ok=True)


def _new_temporary(path: Path) -> Path:
    """Make an empty temporary file in the folder of an object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
    temporary.touch(exist_ok=False)
    return temporary


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _opened(folder: str) -> Iterator[int | None]:
    """Open a folder; None if it was deleted."""
    try:
        opened = os.open(folder or "/", os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield opened
    finally:
        os.close(opened)


def _stored(key: str, name: str, folder: int | None) -> list[StoredObject]:
    """Return a file as an object; none if it was deleted since the folder was read."""
    if folder is None:
        return []
    try:
        status = os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        return []
    return [StoredObject(key, status.st_size, _version(status))]


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(f"{path}: {exc.strerror or exc}", key=str(path)) from exc
