"""Two copies of a task at once, as Spark's speculation starts them: no reader sees half a file."""

from __future__ import annotations

import hashlib
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
from bedrock_spark.storage import LocalStorage, ObjectWriter, S3Storage, Storage
from bedrock_spark.storage.local import LocalWriter
from bedrock_spark.storage.s3_writer import PART_BYTES
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
    """A storage that reads objects while others are written, as a concurrent reader would.

    halves: by key, for each writer, how many of its bytes were written whenever objects were read
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.seen: Seen = set()
        self.halves: dict[str, list[list[int]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def look(self, prefix: str = "") -> None:
        """Note the digest of every object under its final name."""
        for stored in self.storage.list(prefix):
            data = self.storage.read_if_present(stored.key)
            assert data is not None, f"{stored.key} was listed and is gone"
            assert stored.size == len(data)
            self.seen.add((stored.key, hashlib.sha256(data).hexdigest()))

    def writer(self, key: str, behind: int = 2) -> ObjectWriter:
        """Begin an object; look in the middle of each write, and before and after the commit."""
        writer: Any = self.storage.writer(key)
        write, commit = writer.write, writer.commit
        sizes: list[int] = []
        self.halves.setdefault(key, []).append(sizes)

        def look() -> None:
            self.look(key)
            sizes.append(written_bytes(writer))

        def write_in_two_halves(data: bytes | memoryview) -> int:
            middle = len(data) // 2
            write(data[:middle])
            look()
            write(data[middle:])
            return len(data)

        def look_and_commit() -> None:
            look()
            commit()
            self.look(key)

        writer.write, writer.commit = write_in_two_halves, look_and_commit
        kept: ObjectWriter = writer
        return kept


def written_bytes(writer: Any) -> int:
    """Return how many bytes of a writer are in its file, if it has one, or were taken for S3."""
    if isinstance(writer, LocalWriter):
        writer._file.flush()
        return writer._temporary.stat().st_size
    return int(writer.size)


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
    # Every object had two writers. Of each, readers looked for it when a part of it was written,
    # and when all of it was, but it was not committed.
    assert watched.halves.keys() == final.keys()
    for key, writers in watched.halves.items():
        whole = len(watched.read(key))
        assert len(writers) == 2
        for sizes in writers:
            assert any(0 < size < whole for size in sizes), (key, sizes, whole)
            assert sizes[-1] == whole


def test_two_copies_of_a_task_in_a_folder(captured: tuple[Any, Path], tmp_path: Path) -> None:
    """Both write the same bytes. While a file is written, it does not have its final name."""
    watched = Watched(LocalStorage(str(tmp_path / "twice")))
    run_twice(*captured, watched)
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
    bedrock: Callable[..., LocalBedrock],
) -> None:
    """An object above 5 MiB is uploaded in parts. Before the upload is complete there is none."""
    local = bedrock()
    aws = AwsSettings("us-east-1", local.endpoint_url)
    watched = Watched(S3Storage(f"s3://{BUCKET}/runs/parts", aws))
    pieces = [bytes([number]) * 2**20 for number in range(20)]

    def write() -> None:
        writer = watched.writer("shards/large")
        for piece in pieces:
            writer.write(piece)
        writer.commit()

    with ThreadPoolExecutor(2) as pool:
        for writing in [pool.submit(write) for _ in range(4)]:
            watched.look()
            writing.result()
    assert watched.seen == {("shards/large", hashlib.sha256(b"".join(pieces)).hexdigest())}
    middle = [[size for size in w if size > 2 * PART_BYTES] for w in watched.halves["shards/large"]]
    assert [bool(sizes) for sizes in middle] == [True] * 4
