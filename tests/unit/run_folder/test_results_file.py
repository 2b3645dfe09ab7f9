"""Results files are read by the columns that are needed, from a disk and from S3."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import (
    ObjectChangedError,
    RunFolderError,
    StorageAccessError,
    StorageError,
)
from bedrock_spark.run_folder import layout, results_file
from bedrock_spark.run_folder.results_file import open_results_file
from bedrock_spark.storage import LocalStorage, S3Storage
from bedrock_spark.storage.range_file import RangeFile
from tests.unit.moto_s3 import s3_in_process

UNIT = "shard-00000-00"
KEY = layout.results_key(UNIT)


def parquet() -> bytes:
    data = io.BytesIO()
    table = pa.table({"text": [f"t{i}" for i in range(300)], "model_output": ["x" * 500] * 300})
    pq.write_table(table, data, compression="none", use_dictionary=False)
    return data.getvalue()


@pytest.mark.parametrize("whole_bytes", [0, 10**9])
def test_a_large_file_in_s3_is_not_read_whole(
    whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers as they came are most of it. A small file is one request."""
    monkeypatch.setattr(results_file, "WHOLE_BYTES", whole_bytes)
    read = 0
    read_range = S3Storage.read_range

    def counted(storage: S3Storage, key: str, start: int, stop: int, version: str) -> bytes:
        nonlocal read
        read += stop - start
        return read_range(storage, key, start, stop, version)

    monkeypatch.setattr(S3Storage, "read_range", counted)
    with s3_in_process():
        storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1"))
        size = len(parquet())
        storage.write(KEY, parquet())
        source = open_results_file(storage, UNIT)
        with pq.ParquetFile(source) as file:
            assert file.read(["text"]).column("text")[299].as_py() == "t299"
        assert isinstance(source, RangeFile) == (whole_bytes == 0)
        assert 0 < read < size // 2 if whole_bytes == 0 else read == 0
        with pytest.raises(RunFolderError, match="shard-00001-00 has no results yet"):
            open_results_file(storage, "shard-00001-00")


def test_a_file_that_is_collected_again_while_it_is_read_is_not_mixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its columns would be of different answers. The error says what to do."""
    monkeypatch.setattr(results_file, "WHOLE_BYTES", 0)
    with s3_in_process():
        storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1"))
        data = parquet()
        storage.write(KEY, data)
        with pq.ParquetFile(open_results_file(storage, UNIT)) as file:
            assert file.read(["text"]).num_rows == 300
            storage.write(KEY, data.replace(b"x", b"y"))
            with pytest.raises(ObjectChangedError, match=f"{KEY}: .* run the same command again"):
                file.read(["model_output"])


@pytest.mark.parametrize("is_local", [True, False])
def test_only_the_version_that_was_listed_is_read(tmp_path: Path, is_local: bool) -> None:
    with s3_in_process():
        storage: LocalStorage | S3Storage
        if is_local:
            storage = LocalStorage(str(tmp_path))
        else:
            storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1"))
        storage.write("o", b"0123456789")
        (listed,) = storage.list("o")
        assert storage.read_range("o", 2, 4, listed.version) == b"23"
        storage.write("o", b"01234567")
        assert storage.read_range("o", 2, 4) == b"23"
        with pytest.raises(ObjectChangedError) as caught:
            storage.read_range("o", 2, 4, listed.version)
        assert caught.value.key == "o"


def test_a_local_file_is_read_in_its_place(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.write(KEY, parquet())
    assert open_results_file(storage, UNIT) == tmp_path / KEY
    with pytest.raises(RunFolderError, match="shard-00001-00 has no results yet"):
        open_results_file(storage, "shard-00001-00")


def test_a_file_that_cannot_be_read_is_not_taken_for_an_absent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise StorageAccessError("not allowed")

    monkeypatch.setattr(LocalStorage, "fetch", refuse)
    with pytest.raises(StorageError, match="not allowed"):
        open_results_file(LocalStorage(str(tmp_path)), UNIT)


def test_a_range_file_seeks_and_ends() -> None:
    with s3_in_process():
        storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1"))
        storage.write("o", b"0123456789")
        file = RangeFile(storage, "o", 10)
        assert (file.read(3), file.tell()) == (b"012", 3)
        assert (file.seek(-2, io.SEEK_END), file.read()) == (8, b"89")
        assert (file.read(5), file.seek(-9, io.SEEK_CUR), file.read(1)) == (b"", 1, b"1")
