"""Objects that are written piece by piece: whole with `commit`, and without it never there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import StorageError
from bedrock_spark.shards.record_ids import LENGTH
from bedrock_spark.spark.parquet import GROUP_BYTES, ParquetFile, results_file
from bedrock_spark.spark.prepare.shard_files import ShardFiles
from bedrock_spark.storage import LocalStorage, ObjectWriter, S3Storage, Storage, commit_all
from bedrock_spark.storage.base import PARTS_BEHIND
from bedrock_spark.storage.local import LocalWriter
from bedrock_spark.storage.s3_writer import BEGIN_BYTES, PART_BYTES, S3Writer
from tests.unit.moto_s3 import s3_in_process

AWS = AwsSettings("us-east-1")
BUCKET = "writers"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_in_process(BUCKET) as client:
        yield client


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(str(tmp_path / "run"))
    request.getfixturevalue("s3")
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return S3Storage(f"s3://{BUCKET}/{name}", AWS)


def left_behind(storage: Storage, s3: Any) -> list[str]:
    """Return uploads and temporary files that are neither objects nor deleted."""
    if isinstance(storage, LocalStorage):
        files = [path for path in storage.root.rglob("*") if path.is_file()]
        return sorted(path.name for path in files if path.name.startswith("."))
    return [u["Key"] for u in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


@pytest.mark.parametrize(
    "sizes",
    [[], [0], [5], [PART_BYTES], [PART_BYTES - 1, 1, 1], [3_000_000] * 12, [2 * PART_BYTES + 7]],
)
def test_the_object_has_all_bytes_in_their_order(
    storage: Storage, s3: Any, sizes: list[int]
) -> None:
    """It replaces an existing one at the commit, and not before."""
    storage.write("a/b", b"old")
    writer = storage.writer("a/b")
    pieces = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    buffer = bytearray()
    for piece in pieces:
        buffer[:] = piece  # the caller uses its memory again
        assert writer.write(memoryview(buffer).toreadonly()) == len(piece)
    assert writer.size == sum(sizes)
    assert storage.read("a/b") == b"old"
    writer.commit()
    writer.abort()
    assert storage.read("a/b") == b"".join(pieces)
    assert [o.key for o in storage.list("")] == ["a/b"]
    assert left_behind(storage, s3) == []


@pytest.mark.parametrize("size", [0, 5, BEGIN_BYTES, 2 * PART_BYTES])
def test_what_is_aborted_was_never_there(storage: Storage, s3: Any, size: int) -> None:
    """No object, no upload that is billed, no file."""
    writer = storage.writer("a/b")
    writer.write(b"x" * size)
    for _ in range(2):
        writer.abort()
    assert storage.list("") == []
    assert left_behind(storage, s3) == []


CREATE, PART, ABORT = "CreateMultipartUpload", "UploadPart", "AbortMultipartUpload"
COMPLETE, PUT = "CompleteMultipartUpload", "PutObject"


@pytest.mark.parametrize(
    ("sizes", "calls"),
    [
        ([BEGIN_BYTES - 1], {PUT}),
        ([BEGIN_BYTES], {CREATE, ABORT, PUT}),
        ([BEGIN_BYTES, PART_BYTES - BEGIN_BYTES - 1], {CREATE, ABORT, PUT}),
        ([BEGIN_BYTES, PART_BYTES - BEGIN_BYTES], {CREATE, PART, COMPLETE}),
        ([PART_BYTES, 1], {CREATE, PART, COMPLETE}),
    ],
)
def test_an_upload_is_begun_before_its_first_part_is_full(
    s3: Any, sizes: list[int], calls: set[str]
) -> None:
    """An object that ends before that is put. Then nothing is left of the upload."""
    storage = S3Storage(f"s3://{BUCKET}/early-{sum(sizes)}-{len(sizes)}", AWS)
    events: Any = storage._client.meta.events  # type: ignore[attr-defined]
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    events.register("before-call.s3", note)
    try:
        writer = storage.writer("x")
        for size in sizes:
            writer.write(b"x" * size)
        writer.commit()
    finally:
        events.unregister("before-call.s3", note)
    assert set(made) == calls
    assert storage.read("x") == b"x" * sum(sizes)
    assert left_behind(storage, s3) == []


def test_a_small_object_that_cannot_be_put_leaves_no_upload(s3: Any) -> None:
    """Its upload was begun, and is aborted once."""
    storage = S3Storage(f"s3://{BUCKET}/no-put", AWS)
    client: Any = storage._client

    def fail(**_: Any) -> None:
        raise OSError("no connection")

    client.meta.events.register("before-call.s3.PutObject", fail)
    writer = storage.writer("x")
    writer.write(b"x" * BEGIN_BYTES)
    try:
        with pytest.raises(StorageError, match="no-put/x: no connection"):
            writer.commit()
        writer.abort()
    finally:
        client.meta.events.unregister("before-call.s3.PutObject", fail)
    assert storage.list("") == []
    assert left_behind(storage, s3) == []


def write_parts(writer: ObjectWriter, count: int) -> None:
    for _ in range(count):
        writer.write(b"x" * PART_BYTES)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_a_part_that_fails_is_an_error_of_the_storage(s3: Any, operation: str) -> None:
    """Of a later write or of the commit. Nothing is left after the abort."""
    storage = S3Storage(f"s3://{BUCKET}/{operation}", AWS)
    client: Any = storage._client

    def fail(**_: Any) -> None:
        raise OSError("no connection")

    client.meta.events.register(f"before-call.s3.{operation}", fail)
    writer = storage.writer("x")
    try:
        with pytest.raises(StorageError, match=f"{operation}/x: no connection"):
            write_parts(writer, PARTS_BEHIND + 2)
        writer.abort()
    finally:
        client.meta.events.unregister(f"before-call.s3.{operation}", fail)
    assert storage.list("") == []
    assert left_behind(storage, s3) == []


def test_an_abort_that_fails_is_logged(s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The error that led to it counts. The upload is deleted with other leftovers."""
    storage = S3Storage(f"s3://{BUCKET}/abort", AWS)
    client: Any = storage._client
    writer = storage.writer("x")
    writer.write(b"x" * PART_BYTES)

    def fail(**_: Any) -> None:
        raise OSError("no connection")

    client.meta.events.register("before-call.s3.AbortMultipartUpload", fail)
    try:
        writer.abort()
    finally:
        client.meta.events.unregister("before-call.s3.AbortMultipartUpload", fail)
    assert caplog.messages == [f"an upload was not aborted: s3://{BUCKET}/abort/x: no connection"]
    assert left_behind(storage, s3) == ["abort/x"]
    s3.abort_multipart_upload(
        Bucket=BUCKET,
        Key="abort/x",
        UploadId=s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"][0]["UploadId"],
    )


@pytest.mark.parametrize("behind", [1, PARTS_BEHIND, 4])
def test_parts_are_uploaded_behind_the_writer_and_not_too_many(s3: Any, behind: int) -> None:
    """The writer goes on while parts are on their way, at most `behind` of them."""
    storage = S3Storage(f"s3://{BUCKET}/behind", AWS)
    events: Any = storage._client.meta.events  # type: ignore[attr-defined]
    may_go, lock = threading.Event(), threading.Lock()
    running: list[int] = [0]

    def begin(**_: Any) -> None:
        with lock:
            running.append(running[-1] + 1)
        assert may_go.wait(60)

    def end(**_: Any) -> None:
        with lock:
            running.append(running[-1] - 1)

    events.register("before-call.s3.UploadPart", begin)
    events.register("after-call.s3.UploadPart", end)
    writer = storage.writer("x", behind)
    try:
        for _ in range(behind):
            writer.write(b"x" * PART_BYTES)  # none of these has ended
        may_go.set()
        for _ in range(2 * behind):
            writer.write(b"x" * PART_BYTES)
        writer.commit()
    finally:
        events.unregister("before-call.s3.UploadPart", begin)
        events.unregister("after-call.s3.UploadPart", end)
    assert max(running) == behind
    assert storage.list("")[0].size == 3 * behind * PART_BYTES


def test_many_objects_are_committed_at_once(storage: Storage) -> None:
    """If one fails, the others are there, and the error is raised."""
    writers = [storage.writer(f"o{n}") for n in range(5)]
    for writer in writers:
        writer.write(b"x")
    commit_all(writers)
    assert [o.key for o in storage.list("")] == [f"o{n}" for n in range(5)]
    commit_all([])


def test_a_commit_that_fails_is_raised_after_the_others(s3: Any) -> None:
    good, bad = S3Storage(f"s3://{BUCKET}/good", AWS), S3Storage("s3://no-such-bucket/x", AWS)
    with pytest.raises(StorageError, match="no-such-bucket"):
        commit_all([bad.writer("a"), good.writer("b"), good.writer("c")])
    assert [o.key for o in good.list("")] == ["b", "c"]


TABLE = pa.table({"a": list(range(100_000)), "text": [f"row {n}" for n in range(100_000)]})


def test_a_parquet_file_grows_in_the_storage(storage: Storage, tmp_path: Path) -> None:
    """It is there with the commit."""
    file = ParquetFile(storage.writer("f.parquet"), TABLE.schema)
    for batch in TABLE.to_batches(30_000):
        file.write(batch)
    assert storage.list("") == []
    file.commit()
    assert pq.read_table(storage.fetch("f.parquet", tmp_path / "copy")) == TABLE


@pytest.mark.parametrize("row_bytes", [10, 4_000, 100_000])
def test_a_row_group_is_bounded_by_rows_and_by_bytes(tmp_path: Path, row_bytes: int) -> None:
    """Who writes it holds it, however large its rows are."""
    storage = LocalStorage(str(tmp_path))
    batch = pa.record_batch({"text": ["x" * row_bytes] * (4_000_000 // max(row_bytes, 400))})
    file = ParquetFile(storage.writer("f.parquet"), batch.schema, unique=("text",))
    for _ in range(13):
        file.write(batch)
    file.commit()
    metadata = pq.ParquetFile(tmp_path / "f.parquet").metadata
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    assert sum(group.num_rows for group in groups) == 13 * batch.num_rows
    most = max(group.num_rows for group in groups)
    assert most <= 20_000 + batch.num_rows
    assert most * row_bytes <= GROUP_BYTES + batch.nbytes
    assert len(groups) >= 4


def write_whole(storage: Storage, batch: pa.RecordBatch) -> None:
    with results_file(storage, "r", TABLE.schema) as file:
        file.write(batch)
        file.commit()


def test_results_that_are_not_committed_leave_nothing(storage: Storage, s3: Any) -> None:
    """As of a task that fails."""
    with results_file(storage, "r", TABLE.schema) as file:
        file.write(TABLE.to_batches()[0])
    with pytest.raises(pa.ArrowInvalid):
        write_whole(storage, pa.record_batch({"b": [1]}))
    assert storage.list("") == []
    assert left_behind(storage, s3) == []


class FullDisk(LocalStorage):
    """A storage whose disk has no space for the bytes of writers.

    has_room_for: what the keys begin with that it takes
    """

    def __init__(self, uri: str, has_room_for: str = "nothing") -> None:
        super().__init__(uri)
        self.has_room_for = has_room_for

    def writer(self, key: str, behind: int = 2) -> LocalWriter:
        writer = super().writer(key)
        if not key.startswith(self.has_room_for):
            writer._file.close()
            writer._file = Path("/dev/full").open("wb")  # noqa: SIM115 - the writer closes it
        return writer


def test_a_full_disk_keeps_no_temporary_file(tmp_path: Path, s3: Any) -> None:
    """Also if bytes wait in memory, so that closing the file fails, too."""
    storage = FullDisk(str(tmp_path))
    waiting, committed = storage.writer("waiting"), storage.writer("committed")
    for writer in (waiting, committed):
        writer.write(b"x")
    waiting.abort()
    with pytest.raises(StorageError, match="No space left"):
        committed.commit()
    committed.abort()
    with pytest.raises(StorageError, match="No space left"):
        write_whole(storage, TABLE.to_batches()[0])
    assert storage.list("") == []
    assert left_behind(storage, s3) == []


@pytest.mark.parametrize("folder", ["shards/", "rows/", "index/"])
def test_a_shard_on_a_full_disk_leaves_no_temporary_file(
    tmp_path: Path, s3: Any, folder: str
) -> None:
    """Whichever of its three files fits."""
    storage = FullDisk(str(tmp_path), folder)
    ids = pa.array([str(n).zfill(LENGTH) for n in range(1_000)])
    lines = pa.array([b"x" * 1_500 + b"\n"] * 1_000)
    rows = pa.record_batch({"id": ids})
    files = ShardFiles(storage, "p", "shard-00001-00", rows.schema, [])
    with pytest.raises(StorageError, match="No space left"):
        write_shard(files, lines, rows)
    files.abort()
    assert left_behind(storage, s3) == []


def write_shard(files: ShardFiles, lines: pa.Array, rows: pa.RecordBatch) -> None:
    files.write(lines, rows)
    files.publish()


def test_an_upload_that_has_not_begun_is_forgotten_without_an_error(s3: Any) -> None:
    """The error of the task that aborts must stay the one that is seen."""
    with ThreadPoolExecutor(1) as pool:
        is_over = threading.Event()
        pool.submit(is_over.wait, 60)
        writer = S3Storage(f"s3://{BUCKET}/early", AWS).writer("x")
        assert isinstance(writer, S3Writer)
        writer._pool, writer._upload = _Closing(pool, is_over), pool.submit(writer._begin)  # type: ignore[assignment]
        writer.abort()
    assert writer._upload.cancelled()
    assert left_behind(S3Storage(f"s3://{BUCKET}/early", AWS), s3) == []


class _Closing:
    """A pool whose first work ends while it is shut down."""

    def __init__(self, pool: ThreadPoolExecutor, is_over: threading.Event) -> None:
        self._pool, self._is_over = pool, is_over

    def shutdown(self, *, cancel_futures: bool) -> None:
        self._pool.shutdown(wait=False, cancel_futures=cancel_futures)
        self._is_over.set()
        self._pool.shutdown()
