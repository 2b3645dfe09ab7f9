"""Keeps moto's buckets in a folder, so that `--data` survives a restart.

Written through after each S3 request that may have changed something, whole bucket by bucket: what
is new or has another ETag is written, what is gone is removed. Kept are buckets with their Region
and the newest version of each object with its metadata; not policies, versions or open uploads.
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
        self._seen: dict[str, dict[str, str]] = {}

    def restore(self) -> None:
        """Create what the folder holds in moto."""
        for home in sorted(self._folder.iterdir()):
            about = json.loads((home / "bucket.json").read_text("utf-8"))
            self._backend.create_bucket(home.name, about["region"])
            seen = self._seen.setdefault(home.name, {})
            for path in sorted(home.glob("*.meta")):
                meta = json.loads(path.read_text("utf-8"))
                content = FileValue(path.with_suffix(".data"))
                key = self._backend.put_object(
                    home.name, meta["key"], content, etag=meta["etag"].strip('"')
                )
                key.set_metadata(meta["metadata"], replace=False)
                seen[meta["key"]] = key.etag

    def after(self, method: str, path: str) -> None:
        """Bring the folder up to date after a request on a bucket, or on an object in it."""
        if method in _CHANGING:
            self.sync(path.lstrip("/").split("/", 1)[0])

    def sync(self, bucket: str) -> None:
        """Bring one bucket's folder up to date."""
        with self._lock:
            found = self._backend.buckets.get(bucket)
            home = self._folder / bucket
            if found is None:
                if bucket and bucket in self._seen:
                    shutil.rmtree(home)
                    del self._seen[bucket]
                return
            seen = self._seen.get(bucket)
            if seen is None:
                home.mkdir(exist_ok=True)
                _write(home / "bucket.json", {"region": found.region_name})
                seen = self._seen[bucket] = {}
            self._sync_keys(found, home, seen)

    def _sync_keys(self, bucket: Any, home: Path, seen: dict[str, str]) -> None:
        present = set()
        for name in list(bucket.keys):
            key = bucket.keys.get(name)
            if not hasattr(key, "contentsize"):
                continue  # a delete marker
            present.add(name)
            if seen.get(name) != key.etag:
                self._write_key(home, name, key)
                seen[name] = key.etag
        for name in seen.keys() - present:
            for suffix in (".meta", ".data"):
                _file(home, name, suffix).unlink(missing_ok=True)
            del seen[name]

    def _write_key(self, home: Path, name: str, key: Any) -> None:
        path = _file(home, name, ".data")
        partial = path.with_suffix(".part")
        with partial.open("wb") as out, key.lock:
            key._value_buffer.seek(0)
            while chunk := key._value_buffer.read(_CHUNK):
                out.write(chunk)
        partial.replace(path)
        # The description last: an object without one is not there.
        meta = {"key": name, "etag": key.etag, "metadata": dict(key.metadata)}
        _write(_file(home, name, ".meta"), meta)


def _file(home: Path, name: str, suffix: str) -> Path:
    # Keys may be longer than file names, and hold anything.
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return home / f"{digest}{suffix}"


def _write(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), "utf-8")
    partial.replace(path)
