"""Copies moto's buckets to a folder, so that with `--data` they survive a restart.

After each S3 request that may have changed something, the object that it named is compared with the
folder, or the whole bucket if it may have changed others: objects that are new or have another ETag
are written, and objects that are gone are removed. The folder has each bucket with its Region, and
the newest version of each object with its metadata. It has no policies, no older versions and no
unfinished uploads.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bedrock_emulator.s3.moto_memory import FileValue, use_less_memory
from bedrock_emulator.settings import ACCOUNT_ID

_CHUNK = 1024 * 1024
_CHANGING = frozenset({"PUT", "POST", "DELETE"})
# Parameters of a request for an object that concern this object only.
_PLAIN = frozenset({"x-id", "versionId"})


class BucketMirror:
    """A folder with a sub-folder for each bucket, and in it a pair of files for each object."""

    def __init__(self, folder: Path) -> None:
        import moto.s3.models

        use_less_memory()
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

    def after(self, method: str, host: str, path: str, query: str) -> None:
        """Update the folder after a request.

        host: may begin with the bucket, which `path` begins with otherwise
        path: decoded; query: as it was sent
        """
        if method not in _CHANGING or "partNumber=" in query:  # a part changes no object
            return
        bucket, _, key = _split(host, path)
        names = {each.split("=", 1)[0] for each in query.split("&") if each}
        self.sync(bucket, key if method != "POST" and names <= _PLAIN else "")

    def sync(self, bucket: str, key: str = "") -> None:
        """Update one object of a bucket in the folder, or all of them without a key."""
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
            for name in [key] if key else {*moto_bucket.keys, *etags}:
                self._sync_key(moto_bucket, home, etags, name)

    def _sync_key(self, bucket: Any, home: Path, etags: dict[str, str], name: str) -> None:
        key = bucket.keys.get(name)
        if not hasattr(key, "contentsize"):  # there is none, or a delete marker
            if etags.pop(name, None) is not None:
                for suffix in (".meta", ".data"):
                    _file(home, name, suffix).unlink(missing_ok=True)
        elif etags.get(name) != key.etag:
            self._write_key(home, name, key)
            etags[name] = key.etag

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


def _split(host: str, path: str) -> tuple[str, str, str]:
    """Return bucket, slash and key of a request, as moto finds them."""
    from moto.s3.responses import S3Response
    from moto.s3.utils import bucket_name_from_url

    url = f"http://{host}{path}"
    request = SimpleNamespace(headers={"host": host}, url=url)
    if S3Response.subdomain_based_buckets(request):
        return bucket_name_from_url(url) or "", "/", path.removeprefix("/")
    return path.removeprefix("/").partition("/")


def _file(home: Path, name: str, suffix: str) -> Path:
    # A key can be longer than a file name, and can contain any character.
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return home / f"{digest}{suffix}"


def _write(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), "utf-8")
    partial.replace(path)
