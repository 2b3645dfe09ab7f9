"""Copies moto's buckets to a folder, so that with `--data` they survive a restart.

After each S3 request that may have changed a bucket, the whole bucket is compared with its folder:
objects that are new or have another ETag are written, and objects that are gone are removed. The
folder has each bucket with its Region, and the newest version of each object with its metadata. It
has no policies, no older versions and no unfinished uploads.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path
from typing import Any

from bedrock_emulator.s3.moto_memory import FileValue, spool_large_values
from bedrock_emulator.settings import ACCOUNT_ID

_CHUNK = 1024 * 1024
_CHANGING = frozenset({"PUT", "POST", "DELETE"})


class BucketMirror:
    """A folder with a sub-folder for each bucket, and in it a pair of files for each object."""

    def __init__(self, folder: Path) -> None:
        import moto.s3.models

        spool_large_values()
        self._backend: Any = moto.s3.models.s3_backends[ACCOUNT_ID]["aws"]
        self._folder = folder / "s3"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._etags: dict[str, dict[str, str]] = {}

    def restore(self) -> None:
        """Create the buckets and objects of the folder in moto."""
        for home in sorted(self._folder.iterdir()):
            description = json.loads((home / "bucket.json").read_text("utf-8"))
            self._backend.create_bucket(home.name, description["region"])
            etags = self._etags.setdefault(home.name, {})
            for path in sorted(home.glob("*.meta")):
                meta = json.loads(path.read_text("utf-8"))
                content = FileValue(path.with_suffix(".data"))
                key = self._backend.put_object(
                    home.name, meta["key"], content, etag=meta["etag"].strip('"')
                )
                key.set_metadata(meta["metadata"], replace=False)
                etags[meta["key"]] = key.etag

    def after(self, method: str, path: str) -> None:
        """Update the folder after a request for `path`: a bucket, or an object in a bucket."""
        if method in _CHANGING:
            self.sync(path.lstrip("/").split("/", 1)[0])

    def sync(self, bucket: str) -> None:
        """Update the folder of one bucket."""
        with self._lock:
            moto_bucket = self._backend.buckets.get(bucket)
            home = self._folder / bucket
            if moto_bucket is None:
                if bucket and bucket in self._etags:
                    shutil.rmtree(home)
                    del self._etags[bucket]
                return
            etags = self._etags.get(bucket)
            if etags is None:
                home.mkdir(exist_ok=True)
                _write(home / "bucket.json", {"region": moto_bucket.region_name})
                etags = self._etags[bucket] = {}
            self._sync_keys(moto_bucket, home, etags)

    def _sync_keys(self, bucket: Any, home: Path, etags: dict[str, str]) -> None:
        present = set()
        for name in list(bucket.keys):
            key = bucket.keys.get(name)
            if not hasattr(key, "contentsize"):
                continue  # a delete marker
            present.add(name)
            if etags.get(name) != key.etag:
                self._write_key(home, name, key)
                etags[name] = key.etag
        for name in etags.keys() - present:
            for suffix in (".meta", ".data"):
                _file(home, name, suffix).unlink(missing_ok=True)
            del etags[name]

    def _write_key(self, home: Path, name: str, key: Any) -> None:
        path = _file(home, name, ".data")
        partial = path.with_suffix(".part")
        with partial.open("wb") as out, key.lock:
            key._value_buffer.seek(0)
            while chunk := key._value_buffer.read(_CHUNK):
                out.write(chunk)
        partial.replace(path)
        # The metadata last: `restore` ignores an object without it.
        meta = {"key": name, "etag": key.etag, "metadata": dict(key.metadata)}
        _write(_file(home, name, ".meta"), meta)


def _file(home: Path, name: str, suffix: str) -> Path:
    # A key can be longer than a file name, and can contain any character.
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return home / f"{digest}{suffix}"


def _write(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), "utf-8")
    partial.replace(path)
