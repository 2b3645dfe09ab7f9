"""Storage: a local folder and S3 keep the same promises."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws import clients
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import AlreadyExistsError, ObjectChangedError, StorageError
from bedrock_spark.storage import (
    LocalStorage,
    S3Storage,
    Storage,
    StoredObject,
    copy_below,
    list_all,
    open_storage,
)
from tests.unit.fakes import CannedHttp
from tests.unit.moto_s3 import s3_in_process

AWS = AwsSettings("us-east-1")


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """S3 in this process, empty but for one bucket; the pipeline's own client reaches it."""
    with s3_in_process() as client:
        yield client


@pytest.fixture(params=["local", "s3", "s3 without a prefix"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(str(tmp_path / "run"))
    client = request.getfixturevalue("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket"):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket="bucket", Key=item["Key"])
    prefix = "" if request.param.endswith("prefix") else "/runs/one"
    return S3Storage(f"s3://bucket{prefix}", AWS)


def keys(storage: Storage, prefix: str) -> list[str]:
    return [o.key for o in storage.list(prefix)]


def test_an_object_can_be_read_as_a_local_file(storage: Storage, tmp_path: Path) -> None:
    """The object's own file, or a copy; the error for an absent object names it."""
    storage.write("a/b", b"abc")
    assert storage.fetch("a/b", tmp_path / "copy").read_bytes() == b"abc"
    with pytest.raises(StorageError, match="a/absent"):
        storage.fetch("a/absent", tmp_path / "copy")


@pytest.mark.parametrize("data", [b"", b"\x00\xff\r\n", 300_000 * b"x"])
def test_written_bytes_are_read_back(storage: Storage, data: bytes) -> None:
    """Byte for byte, in any folder."""
    storage.write("a/b/c.bin", data)
    assert storage.read("a/b/c.bin") == data
    assert storage.read_if_present("a/b/c.bin") == data
    (listed,) = storage.list("")
    assert (listed.key, listed.size) == ("a/b/c.bin", len(data))


@pytest.mark.parametrize(("size", "expected"), [(1, b"a"), (3, b"abc"), (6, b"abcdef"), (9, None)])
def test_the_beginning_of_an_object(storage: Storage, size: int, expected: bytes | None) -> None:
    """The first `size` bytes, or the whole object if it is shorter, or nothing if it is empty."""
    storage.write("a", b"abcdef")
    storage.write("empty", b"")
    assert storage.read_range("a", 0, size) == (expected or b"abcdef")
    assert storage.read_range("empty", 0, size) == b""
    with pytest.raises(StorageError, match="nowhere"):
        storage.read_range("nowhere", 0, size)


@pytest.mark.parametrize(
    ("start", "stop", "expected"), [(1, 2, b"b"), (4, 9, b"ef"), (6, 7, b""), (9, 12, b"")]
)
def test_a_range_of_an_object(storage: Storage, start: int, stop: int, expected: bytes) -> None:
    """From `start` up to `stop`, and no further than the object."""
    storage.write("a", b"abcdef")
    assert storage.read_range("a", start, stop) == expected


def test_a_write_replaces_an_object(storage: Storage) -> None:
    """And a listing shows another version, even if the size is the same."""
    storage.write("a", b"one")
    before = storage.list("")
    storage.write("a", b"two")
    assert storage.read("a") == b"two"
    assert storage.list("")[0].version != before[0].version


def test_a_write_returns_the_version_that_listings_show(storage: Storage) -> None:
    """And a scan shows what a listing shows, the objects below one folder one after another."""
    versions = {key: storage.write(key, key.encode()) for key in ("f/b/2", "f/a/1", "f/b/1", "g/c")}
    assert {o.key: o.version for o in storage.list("")} == versions
    for prefix in ("", "f/", "f/b", "f/b/", "nowhere/"):
        scanned = list(storage.scan(prefix))
        assert sorted(scanned, key=lambda o: o.key) == storage.list(prefix)
        folders = [o.key.rpartition("/")[0] for o in scanned]
        assert len(set(folders)) == len([folder for folder, _ in groupby(folders)])


@pytest.mark.parametrize(
    "prefixes", [[], ["a/"], ["b/", "a/", "none/"], [f"{n}" for n in range(20)]]
)
def test_several_listings_at_once(storage: Storage, prefixes: list[str]) -> None:
    """As one after the other."""
    for key in ("a/1", "a/2", "b/1", "b2", "7"):
        storage.write(key, b"x")
    listed = list_all(storage, prefixes)
    assert listed == [stored for prefix in prefixes for stored in storage.list(prefix)]


def test_without_a_write_a_listing_does_not_change(storage: Storage) -> None:
    """A shard whose inputs did not change is not collected again."""
    storage.write("a", b"one")
    assert storage.list("") == storage.list("")


def test_an_object_that_does_not_exist(storage: Storage) -> None:
    """None from a method that allows it, and a StorageError with the key from the others."""
    assert storage.read_if_present("nowhere/x") is None
    with pytest.raises(StorageError, match=r"nowhere/x: there is no such") as caught:
        storage.read("nowhere/x")
    assert caught.value.key == "nowhere/x"
    assert storage.list("nowhere/") == []
    assert storage.list("nowhere") == []


def test_a_create_never_replaces(storage: Storage) -> None:
    """The first object stays."""
    storage.create("run.json", b"first")
    with pytest.raises(AlreadyExistsError, match=r"run.json: exists already"):
        storage.create("run.json", b"second")
    assert storage.read("run.json") == b"first"
    storage.write("other", b"x")
    with pytest.raises(AlreadyExistsError):
        storage.create("other", b"y")


def test_of_concurrent_creates_exactly_one_succeeds(tmp_path: Path) -> None:
    """As when two controllers append to the ledger. In S3, the conditional write ensures it."""
    storage = LocalStorage(str(tmp_path))
    barrier = threading.Barrier(8)
    winners: list[int] = []

    def race(number: int) -> None:
        barrier.wait()
        try:
            storage.create("ledger/1", str(number).encode())
        except AlreadyExistsError:
            return
        winners.append(number)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert storage.read("ledger/1") == str(winners[0]).encode()


def test_a_replace_needs_the_current_version(storage: Storage) -> None:
    """None if there is no object. Any other version is refused, and nothing changes."""
    first = storage.replace("a/b", b"1", None)
    for wrong in (None, '"x"'):
        with pytest.raises(ObjectChangedError):
            storage.replace("a/b", b"2", wrong)
    with pytest.raises(ObjectChangedError):
        storage.replace("a/none", b"2", first)
    assert storage.read_version("a/b") == (b"1", first)
    second = storage.replace("a/b", b"2", first)
    assert storage.read_version("a/b") == (b"2", second)
    assert storage.read_version("a/c") is None
    assert keys(storage, "a/") == ["a/b"]


def test_of_concurrent_replaces_exactly_one_succeeds(tmp_path: Path) -> None:
    """All have read the same version."""
    storage = LocalStorage(str(tmp_path))
    version = storage.replace("a", b"0", None)
    winners: list[bytes] = []

    def race(data: bytes) -> None:
        try:
            storage.replace("a", data, version)
        except ObjectChangedError:
            return
        winners.append(data)

    threads = [threading.Thread(target=race, args=(b"%d" % i,)) for i in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == [storage.read("a")]


def test_copies_below_a_prefix_can_be_repeated(storage: Storage, tmp_path: Path) -> None:
    """An object that the target has in the same size is left; the others are copied."""
    target = LocalStorage(str(tmp_path / "target"))
    for key in ("a/1", "a/b/2", "c/3"):
        storage.write(key, key.encode())
    target.write("a/1", b"x")
    for _ in range(2):
        copy_below(storage, target, "a/")
        assert {o.key: target.read(o.key) for o in target.list("")} == {
            "a/1": b"a/1",
            "a/b/2": b"a/b/2",
        }


def test_a_copy_within_s3(s3: Any) -> None:
    """From one prefix to another; the bytes do not pass through this machine."""
    source, target = (S3Storage(f"s3://bucket/{name}", AWS) for name in ("one", "two"))
    source.write("a/1", b"data")
    copy_below(source, target, "a/")
    assert target.read("a/1") == b"data"


def test_a_browser_shows_a_page_and_saves_data(s3: Any) -> None:
    """S3 tells it the kind of an object."""
    storage = S3Storage("s3://bucket/kinds", AWS)
    for name, kind in (("report.html", "text/html; charset=utf-8"), ("a", "binary/octet-stream")):
        storage.write(name, b"x")
        assert s3.head_object(Bucket="bucket", Key=f"kinds/{name}")["ContentType"] == kind


def test_listing_by_prefix(storage: Storage) -> None:
    """A prefix is the beginning of a key, and need not end with a folder. Keys are in order."""
    names = ["shards/b.jsonl", "shards/a.jsonl", "shards-old/c", "shard", "x/shards/d", "É/ü"]
    for name in names:
        storage.write(name, b"x")
    assert keys(storage, "") == sorted(names)
    assert keys(storage, "shards/") == ["shards/a.jsonl", "shards/b.jsonl"]
    assert keys(storage, "shard") == ["shard", "shards-old/c", "shards/a.jsonl", "shards/b.jsonl"]
    assert keys(storage, "shards/a") == ["shards/a.jsonl"]
    assert keys(storage, "shards/a.jsonl") == ["shards/a.jsonl"]
    assert keys(storage, "shards/a.jsonl/") == []
    assert keys(storage, "x/") == ["x/shards/d"]


def test_the_folders_right_below_a_folder(storage: Storage) -> None:
    """Deeper folders are not among them, and no objects."""
    for key in ("a/x", "a/b/y", "a/c/d/z", "ab/w", "v"):
        storage.write(key, b"")
    assert storage.folders("") == ["a/", "ab/"]
    assert storage.folders("a/") == ["a/b/", "a/c/"]
    assert storage.folders("a/b/") == storage.folders("nothing/") == []


def test_a_listing_has_every_page() -> None:
    """S3 lists a thousand objects a page, with a token for the next page."""
    page = "<ListBucketResult><Prefix>run/x/</Prefix>{}</ListBucketResult>"
    item = "<Contents><Key>run/x/{}</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents>"
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>T</NextContinuationToken>"
    first = page.format(more + item.format("a"))
    storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1", "http://localhost:9"))
    client = clients.s3_client(storage.aws)
    http = CannedHttp(client, (200, first.encode()), (200, page.format(item.format("b")).encode()))
    assert storage.list("x/") == [StoredObject("x/a", 7, "e"), StoredObject("x/b", 7, "e")]
    assert "continuation-token=T" in http.sent[1].url
    http.close()


def test_runs_in_neighbouring_folders_are_apart(s3: Any, tmp_path: Path) -> None:
    """The name of one folder is the beginning of the other's."""
    for one, other in (
        (S3Storage("s3://bucket/r/a", AWS), S3Storage("s3://bucket/r/ab/", AWS)),
        (LocalStorage(str(tmp_path / "a")), LocalStorage(f"file://{tmp_path}/ab")),
    ):
        other.write("x", b"other's")
        assert one.read_if_present("x") is None
        assert one.list("") == []
        assert keys(other, "") == ["x"]


def test_files_are_uploaded_and_downloaded(storage: Storage, tmp_path: Path) -> None:
    """An upload replaces an existing object."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"data" * 1000)
    storage.write("d/x", b"old")
    storage.upload(source, "d/x")
    storage.download("d/x", target)
    assert target.read_bytes() == storage.read("d/x") == source.read_bytes()
    assert source.exists()


def test_failures_are_storage_errors_and_name_the_key(storage: Storage, tmp_path: Path) -> None:
    """Whatever error boto3 or the file system raises."""
    with pytest.raises(StorageError, match="nowhere"):
        storage.download("nowhere", tmp_path / "x")
    with pytest.raises(StorageError, match="d/x"):
        storage.upload(tmp_path / "no such file", "d/x")
    assert storage.list("") == []


def test_a_bucket_that_does_not_exist_is_a_storage_error(s3: Any, tmp_path: Path) -> None:
    """In every call. An upload fails with an error of boto3, not of botocore."""
    storage = S3Storage("s3://no-such-bucket/run", AWS)
    source = tmp_path / "x"
    source.write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: storage.read("k"),
        lambda: storage.read_if_present("k"),
        lambda: storage.read_range("k", 0, 9),
        lambda: storage.write("k", b""),
        lambda: storage.create("k", b""),
        lambda: storage.upload(source, "k"),
        lambda: storage.download("k", tmp_path / "y"),
        lambda: storage.list(""),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="s3://no-such-bucket/run") as caught:
            call()
        assert not isinstance(caught.value, AlreadyExistsError)


def test_a_failed_local_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half an object under its name nor a temporary file beside it."""
    storage = LocalStorage(str(tmp_path))
    storage.write("d/x", b"old")

    def torn(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(StorageError, match="No space left"):
        storage.write("d/x", b"new")
    with pytest.raises(StorageError, match="No space left"):
        storage.create("d/y", b"new")
    assert storage.read("d/x") == b"old"
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["x"]


def test_a_write_in_progress_is_not_listed(tmp_path: Path) -> None:
    """Another process may list the folder at any moment, or may have died during a write."""
    storage = LocalStorage(str(tmp_path))
    storage.write("d/x", b"1")
    seen: list[list[str]] = []
    with storage._temporary("d/y") as temporary:
        temporary.write_bytes(b"half")
        seen.append(keys(storage, "d/"))
        seen.append(keys(storage, ""))
    assert seen == [["d/x"], ["d/x"]]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_files_and_folders_have_the_permissions_of_the_umask(tmp_path: Path, umask: int) -> None:
    """Whatever way they are written. Prompts are not for other users if the user says so."""
    source = tmp_path / "source"
    before = os.umask(umask)
    try:
        source.write_bytes(b"x")
        source.chmod(0o600)
        storage = LocalStorage(str(tmp_path / "run"))
        for _ in range(2):  # the second time, the objects exist
            storage.write("a/b/written", b"")
            version = storage.read_version("a/replaced")
            storage.replace("a/replaced", b"", version[1] if version else None)
            storage.upload(source, "a/uploaded")
        storage.create("a/created", b"")
    finally:
        os.umask(before)
    paths = [tmp_path / "run", *(tmp_path / "run").rglob("*")]
    assert len(paths) == 8
    for path in paths:
        allowed = (0o777 if path.is_dir() else 0o666) & ~umask
        assert path.stat().st_mode & 0o777 == allowed, path


def test_the_uri_selects_the_storage(tmp_path: Path) -> None:
    """s3:// is S3; anything else is a folder, with or without file://. Nothing is written yet."""
    assert isinstance(open_storage("s3://bucket/x", AWS), S3Storage)
    for uri in (f"{tmp_path}/new", f"file://{tmp_path}/new"):
        opened = open_storage(uri, AWS)
        assert isinstance(opened, LocalStorage)
        assert opened.root == tmp_path / "new"
        assert opened.uri == uri
    assert not (tmp_path / "new").exists()


def test_a_storage_can_be_sent_to_executors(storage: Storage) -> None:
    """Without its client, which cannot be pickled."""
    storage.write("x", b"1")
    again: Storage = pickle.loads(pickle.dumps(storage))
    assert again.read("x") == b"1"
    assert again.uri == storage.uri


@pytest.mark.parametrize(
    ("prefix", "found", "walked"),
    [
        ("run.json", ["run.json"], [""]),
        ("results/s-0", ["results/s-0/a", "results/s-0/b", "results/s-01/a"], ["results"]),
        ("results/", ["results/s-0/a", "results/s-0/b", "results/s-01/a"], ["results"]),
        ("nothing", [], [""]),
    ],
)
def test_a_local_listing_walks_no_folder_whose_name_does_not_fit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    found: list[str],
    walked: list[str],
) -> None:
    """One file beside a folder of a hundred thousand others costs no look at them."""
    storage = LocalStorage(str(tmp_path))
    for key in ("run.json", "results/s-0/a", "results/s-0/b", "results/s-01/a", "output/s-0/a"):
        storage.write(key, b"x")
    seen: list[str] = []
    scandir = os.scandir

    def noticed(path: str) -> Any:
        seen.append(os.path.relpath(path, tmp_path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noticed)
    assert [stored.key for stored in storage.list(prefix)] == found
    below = [f"results/{name}" for name in ("s-0", "s-01")] if found and "/" in prefix else []
    assert sorted(seen) == sorted([*(folder or "." for folder in walked), *below])
