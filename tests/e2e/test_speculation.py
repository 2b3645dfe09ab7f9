"""Two copies of a task at once, as Spark's speculation starts them: no reader sees half a file."""

from __future__ import annotations

import errno
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage, S3Storage, Storage
from tests.e2e.conftest import BUCKET
from tests.spark.fixed_input import expected_shards, fixed_input, open_fixed_run

pytestmark = pytest.mark.long

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
Seen = set[tuple[str, str]]


@pytest.fixture
def captured(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Path]:
    """Return prepare's task, and a folder with its Arrow batches: one file per bucket."""
    calls: list[tuple[DataFrame, Any]] = []
    source = fixed_input(spark)
    original = type(source).mapInArrow

    def capture(df: DataFrame, task: Any, *arguments: Any) -> DataFrame:
        calls.append((df, task))
        return original(df, task, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(source), "mapInArrow", capture)
        prepare(spark, open_fixed_run(tmp_path / "run"), source)
    df, task = calls[-1]
    folder = tmp_path / "buckets"
    folder.mkdir()
    original(df, _Dump(str(folder)), "file string").collect()
    return task, folder


class _Dump:
    """Write the batches of a partition to one file."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        kept = [batch for batch in batches if batch.num_rows]
        if not kept:
            return
        digest = hashlib.sha256(str(kept[0].to_pylist()).encode()).hexdigest()
        with pa.ipc.new_stream(f"{self.folder}/{digest}", kept[0].schema) as writer:
            for batch in kept:
                writer.write_batch(batch)
        yield pa.RecordBatch.from_pydict({"file": [digest]})


class Watched:
    """A storage that reads objects before and after uploads, as a concurrent reader would."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.seen: Seen = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def look(self, prefix: str = "") -> None:
        """Note the digest of every object under its final name."""
        for stored in self.storage.list(prefix):
            data = self.storage.read_if_present(stored.key)
            assert data is not None, f"{stored.key} was listed and is gone"
            assert stored.size == len(data)
            self.seen.add((stored.key, hashlib.sha256(data).hexdigest()))

    def upload(self, path: Path, key: str) -> None:
        """Upload a file; look before and after that."""
        self.look(key)
        self.storage.upload(path, key)
        self.look(key)


def run_twice(task: Any, folder: Path, watched: Watched) -> None:
    """Run two copies of every bucket's task at once, while a reader looks at the objects."""
    done = threading.Event()

    def read_on() -> None:
        while not done.is_set():
            watched.look()

    def copy_of(bucket: Path, begin: threading.Barrier) -> list[Any]:
        with bucket.open("rb") as file, pa.ipc.open_stream(file) as batches:
            begin.wait(timeout=60)
            work: Task = replace(task, storage=watched)
            return [row for out in work(iter(batches)) for row in out.to_pylist()]

    with ThreadPoolExecutor(3) as pool:
        reader = pool.submit(read_on)
        try:
            for bucket in sorted(folder.iterdir()):
                begin = threading.Barrier(2)
                first, second = (pool.submit(copy_of, bucket, begin) for _ in range(2))
                assert first.result() == second.result()
        finally:
            done.set()
        reader.result()


def check(watched: Watched) -> None:
    """Check that every object had its final content whenever it was seen, and no other exists."""
    final = {o.key: hashlib.sha256(watched.read(o.key)).hexdigest() for o in watched.list("")}
    assert watched.seen == set(final.items())
    shards = {shard[0]: shard[3] for shard in expected_shards()}
    assert {Path(k).stem: v for k, v in final.items() if k.startswith("shards/")} == shards
    assert len(final) == 2 * len(shards) + len([k for k in final if k.startswith("rejects/")])


def test_two_copies_of_a_task_in_a_folder(
    captured: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write the same bytes. In the middle of a copy no half file has its final name."""
    watched = Watched(LocalStorage(str(tmp_path / "twice")))
    halves: list[str] = []

    def in_two_halves(source: Path, target: Path) -> None:
        data = Path(source).read_bytes()
        with Path(target).open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            watched.look()
            halves.append(str(target))
            file.write(data[len(data) // 2 :])

    def on_another_disk(target: Path, source: Path) -> None:
        raise OSError(errno.EXDEV, "a hard link across disks is not possible")

    monkeypatch.setattr(Path, "hardlink_to", on_another_disk)
    monkeypatch.setattr(shutil, "copyfile", in_two_halves)
    run_twice(*captured, watched)
    assert len(halves) >= 4 * len(expected_shards())
    check(watched)


def test_two_copies_of_a_task_in_s3(
    captured: tuple[Any, Path], bedrock: Callable[..., LocalBedrock]
) -> None:
    """Both put the same objects, and readers see only complete ones."""
    local = bedrock()
    aws = AwsSettings("us-east-1", local.endpoint_url)
    watched = Watched(S3Storage(f"s3://{BUCKET}/runs/twice", aws))
    run_twice(*captured, watched)
    check(watched)


def test_a_multipart_upload_appears_only_when_complete(
    bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """Files above 8 MiB are uploaded in parts. Before the last part there is no object."""
    local = bedrock()
    aws = AwsSettings("us-east-1", local.endpoint_url)
    watched = Watched(S3Storage(f"s3://{BUCKET}/runs/parts", aws))
    large = tmp_path / "large"
    large.write_bytes(b"0123456789abcdef" * 2**16 * 20)
    with ThreadPoolExecutor(2) as pool:
        for upload in [pool.submit(watched.upload, large, "shards/large") for _ in range(4)]:
            watched.look()
            upload.result()
    assert watched.seen == {("shards/large", hashlib.sha256(large.read_bytes()).hexdigest())}
