"""What killed processes leave behind, and that it is deleted, but nothing else."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws import clients
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import PlanError, StorageError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.leftovers import delete_leftovers
from bedrock_spark.storage import LocalStorage, S3Storage, scratch, scratch_folder
from bedrock_spark.storage.scratch import delete_abandoned
from tests.unit.fakes import CannedHttp, FakeClock, make_config
from tests.unit.moto_s3 import s3_in_process

DAY = 86_400.0


@pytest.fixture
def s3() -> Iterator[Any]:
    with s3_in_process() as client:
        yield client


def uploads(client: Any) -> list[str]:
    """Return the keys of all multipart uploads that were begun and not completed."""
    return [u["Key"] for u in client.list_multipart_uploads(Bucket="bucket").get("Uploads", ())]


@pytest.mark.parametrize("prefix", ["", "runs/one/"])
def test_old_uploads_of_our_own_are_aborted(s3: Any, prefix: str) -> None:
    """Not those of Bedrock below output/, of a neighbouring folder, or of the last day."""
    ours = ["shards/s.jsonl", "rows/s.parquet", "remainders/s/a2.jsonl", "results/s.parquet"]
    others = [f"{prefix}output/s/a1/x.jsonl.out", f"{prefix}shards-old/x", "runs/one-b/shards/s"]
    for key in [*(prefix + key for key in ours), *others]:
        s3.create_multipart_upload(Bucket="bucket", Key=key)
    storage = S3Storage(f"s3://bucket/{prefix}", AwsSettings("us-east-1"))
    # moto's uploads begin in the year 2010, whatever the time is.
    begun = s3.list_multipart_uploads(Bucket="bucket")["Uploads"][0]["Initiated"].timestamp()
    delete_leftovers([storage], FakeClock(begun + DAY - 60))
    assert len(uploads(s3)) == len(ours) + len(others)
    for _ in range(2):
        delete_leftovers([storage], FakeClock(begun + DAY + 60))
        assert sorted(uploads(s3)) == sorted(others)


def test_without_permission_the_run_goes_on(
    canned: Callable[..., CannedHttp], caplog: pytest.LogCaptureFixture
) -> None:
    """With a line in the log. Leftovers cost a little; a run that fails costs more."""
    storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1", "http://localhost:9"))
    refused = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    canned(clients.s3_client(storage.aws), (403, refused))
    with caplog.at_level(logging.WARNING, "bedrock_spark"):
        delete_leftovers([storage], FakeClock())
    (record,) = caplog.records
    assert "were not deleted: s3://bucket/run" in record.getMessage()
    assert "AccessDenied" in record.getMessage()


def test_an_upload_that_another_process_aborted_is_no_error(
    canned: Callable[..., CannedHttp],
) -> None:
    """Two machines may begin at the same time."""
    storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1", "http://localhost:9"))
    listed = (
        b"<ListMultipartUploadsResult><Upload><Key>run/shards/s</Key><UploadId>u</UploadId>"
        b"<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    gone = b"<Error><Code>NoSuchUpload</Code><Message>x</Message></Error>"
    http = canned(clients.s3_client(storage.aws), (200, listed), (404, gone))
    assert storage.delete_leftovers(["shards/"], 1.8e9) == 1
    assert [r.method for r in http.sent] == ["GET", "DELETE"]
    assert "prefix=run%2F&" in f"{http.sent[0].url}&"


def test_an_upload_that_fails_leaves_no_parts(s3: Any, tmp_path: Path) -> None:
    """boto3 aborts it."""
    storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1"))
    source = tmp_path / "large"
    source.write_bytes(bytes(20_000_000))  # above 8 MB, boto3 uploads parts

    def fail(params: dict[str, Any], **_: Any) -> None:
        if params["query_string"].get("partNumber") == 2:
            raise OSError("no connection")

    client: Any = storage._client
    client.meta.events.register("before-call.s3.UploadPart", fail)
    try:
        with pytest.raises(StorageError, match="no connection"):
            storage.upload(source, "shards/s.jsonl")
    finally:
        client.meta.events.unregister("before-call.s3.UploadPart", fail)
    assert uploads(s3) == []
    assert storage.list("") == []


def test_old_temporary_files_of_a_local_run_are_deleted(tmp_path: Path) -> None:
    """Anywhere in its folder. Objects and locks stay, however old they are."""
    storage = LocalStorage(str(tmp_path))
    storage.write("shards/s.jsonl", b"1")
    storage.replace("lease.json", b"1", None)
    for folder in ("", "shards", "ledger"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / ".writing-0123456789abcdef").write_bytes(b"half")
    delete_leftovers([storage], FakeClock(time.time() + DAY - 60))
    assert len(list(tmp_path.rglob(".writing-*"))) == 3
    delete_leftovers([storage], FakeClock(time.time() + DAY + 60))
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        ".lock-lease.json",
        "lease.json",
        "s.jsonl",
    ]


def test_prepare_deletes_leftovers_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it fails afterwards."""
    leftover = tmp_path / "run" / "shards" / ".writing-0123456789abcdef"
    pipeline = Pipeline.open(make_config(str(tmp_path / "run")), FakeClock(time.time() + 2 * DAY))
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")

    def fail(*_: object) -> None:
        raise PlanError("no rows")

    monkeypatch.setattr("bedrock_spark.spark.probe.is_local", lambda _: True)
    monkeypatch.setattr("bedrock_spark.spark.prepare.stage.prepare", fail)
    with pytest.raises(PlanError):
        pipeline.prepare(None)  # type: ignore[arg-type]
    assert not leftover.exists()


@pytest.fixture(params=["TMPDIR", "SPARK_LOCAL_DIRS", "LOCAL_DIRS", "block manager"])
def temporary(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, empty, for this process and its children."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    for name in ("SPARK_LOCAL_DIRS", "LOCAL_DIRS"):
        monkeypatch.delenv(name, raising=False)
    if request.param == "block manager":  # as Spark tells its Python workers
        monkeypatch.setenv("SPARK_LOCAL_DIRS", str(folder / "blockmgr-0a1b2c3d"))
    else:
        monkeypatch.setenv(request.param, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.mark.parametrize("variable", ["SPARK_LOCAL_DIRS", "LOCAL_DIRS"])
@pytest.mark.parametrize("fullest", [0, 1, 2])
def test_a_scratch_folder_is_where_the_most_bytes_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, fullest: int
) -> None:
    """Of Spark's folders. One that does not exist, or whose disk fails, is left out."""
    folders = [tmp_path / f"disk-{n}" for n in range(3)]
    for folder in folders:
        folder.mkdir()
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    monkeypatch.setenv(variable, ",".join(map(str, [tmp_path / "nowhere", *folders])))

    def usage(path: Path) -> shutil._ntuple_diskusage:
        place = folders.index(path)
        if place == (fullest + 2) % 3:
            raise OSError("Input/output error")
        return shutil._ntuple_diskusage(100, 50, 0 if place == fullest else 50)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    roomy = folders[(fullest + 1) % 3]
    with scratch_folder("test") as folder:
        assert folder.parent == roomy
    mkdtemp = tempfile.mkdtemp

    def fail(prefix: str, dir: Path) -> str:  # noqa: A002 - the name of mkdtemp's
        if dir == roomy:
            raise OSError("Read-only file system")
        return mkdtemp(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with scratch_folder("test") as folder:
        assert folder.parent in {*folders} - {roomy}


def test_without_a_folder_of_spark_the_systems_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose environment names a folder that it does not have."""
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("LOCAL_DIRS", " ")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("test") as folder:
        assert folder.parent == tmp_path


def test_a_driver_takes_the_local_folders_of_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no variable names others. What a killed driver has left there is deleted."""
    monkeypatch.delenv("LOCAL_DIRS", raising=False)
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
    left = own / ".bedrock-spark-scratch-shuffle-77-abcdefgh"
    left.mkdir()
    monkeypatch.setattr(scratch, "_swept_at", {})
    with scratch_folder("shuffle", [tmp_path / "nowhere", own]) as folder:
        assert folder.parent == own
        assert not left.exists()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(other))
    with scratch_folder("shuffle", [own]) as folder:
        assert folder.parent == other


def test_a_scratch_folder_ends_with_its_block(temporary: Path) -> None:
    """Only its user can read it, and nobody deletes it before."""
    with scratch_folder("test") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_bytes(b"x")
        delete_abandoned()
        assert (folder / "sub" / "file").exists()
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


PROGRAM = """
import sys
from bedrock_spark.storage import scratch_folder
from tests.unit.moto_s3 import s3_in_process
with scratch_folder("test") as folder:
    (folder / "prompts").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_the_scratch_folder_of_a_killed_process_is_deleted_by_the_next(temporary: Path) -> None:
    """Not before it is killed, and not the folder that a user has there."""
    own = temporary / "bedrock-spark-results"
    own.mkdir()
    command = [sys.executable, "-c", PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        delete_abandoned()
        assert (folder / "prompts").exists()
        process.kill()
    assert (folder / "prompts").exists()
    delete_abandoned()
    assert list(temporary.iterdir()) == [own]


def test_each_process_looks_for_abandoned_folders_once_a_minute(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it makes its first one, and then again if a minute has passed."""
    abandoned = temporary / ".bedrock-spark-scratch-test-1-abcdefgh"
    monkeypatch.setattr("bedrock_spark.storage.scratch._swept_at", {})
    for now, is_left in ((1.0, False), (60.9, True), (61.0, False), (62.0, True)):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        abandoned.mkdir(exist_ok=True)
        with scratch_folder("test"):
            assert abandoned.exists() is is_left
