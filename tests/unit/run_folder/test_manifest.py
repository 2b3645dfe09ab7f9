"""The run manifest: written once, and never changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import (
    RejectedRows,
    RunManifest,
    Shard,
    SourceState,
    commit_manifest,
    read_manifest,
)
from bedrock_spark.storage import LocalStorage

MANIFEST = RunManifest(
    run_id="tickets-abcdefgh",
    rows=1_203,
    columns="ticket_id STRING, `größe` INT",
    shards=(
        Shard("shard-00000-00", 1_000, 5_000, "a" * 64, prepare_id="p1"),
        Shard("shard-00001-00", 200, 9, "b", prepare_id="p1"),
    ),
    rejects=(RejectedRows(0, 1), RejectedRows(1, 2)),
    prepare_id="p1",
    source=SourceState("c" * 64, files=3, bytes=99, versions=("7",)),
)


def test_before_the_commit_there_is_no_manifest(tmp_path: Path) -> None:
    """None means that prepare is not done."""
    assert read_manifest(LocalStorage(str(tmp_path))) is None


def test_a_committed_manifest_is_read(tmp_path: Path) -> None:
    """Completely, on any machine."""
    storage = LocalStorage(str(tmp_path))
    assert commit_manifest(storage, MANIFEST) == MANIFEST
    assert read_manifest(storage) == MANIFEST


def test_the_first_commit_is_kept(tmp_path: Path) -> None:
    """A second prepare gets it even if its own shards differ: the first shards are in use."""
    storage = LocalStorage(str(tmp_path))
    commit_manifest(storage, MANIFEST)
    assert commit_manifest(storage, replace(MANIFEST, source=None, shards=(), rows=0)) == MANIFEST
    assert read_manifest(storage) == MANIFEST


def test_records_and_rejected_rows_are_added_up(tmp_path: Path) -> None:
    """Together they are all rows."""
    assert (MANIFEST.records, MANIFEST.rejected) == (1_200, 3)
    assert MANIFEST.records + MANIFEST.rejected == MANIFEST.rows
    assert [r.unit for r in MANIFEST.rejects] == ["rejects-00000", "rejects-00001"]


GOOD = {
    "format": 1,
    "run_id": "r",
    "rows": 1,
    "columns": "a INT",
    "shards": [{"shard_id": "s", "records": 1, "bytes": 1, "sha256": "x"}],
    "rejects": [],
    "prepare_id": "p",
}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the folder is damaged"),
        (b"{", "the folder is damaged"),
        (b"[]", "the folder is damaged"),
        (b"\xff", "the folder is damaged"),
        (b"{}", "the folder is damaged"),
        (json.dumps({**GOOD, "shards": None}).encode(), "the folder is damaged"),
        (json.dumps({**GOOD, "shards": [{"shard_id": "s"}]}).encode(), "the folder is damaged"),
        (json.dumps({**GOOD, "rejects": [{"new": 1}]}).encode(), "the folder is damaged"),
        (json.dumps({**GOOD, "source": {"new": 1}}).encode(), "the folder is damaged"),
        (json.dumps({**GOOD, "format": 2}).encode(), "has format 2, not 1"),
        (json.dumps({**GOOD, "format": 2, "shards": {}}).encode(), "has format 2, not 1"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    """It is never read as a smaller one, and never overwritten."""
    storage = LocalStorage(str(tmp_path))
    storage.write(layout.MANIFEST_FILE, data)
    with pytest.raises(RunFolderError, match=r"manifest\.json: ") as caught:
        read_manifest(storage)
    assert message in str(caught.value)
    with pytest.raises(RunFolderError):
        commit_manifest(storage, MANIFEST)
    assert storage.read(layout.MANIFEST_FILE) == data


def test_the_documented_format_is_read(tmp_path: Path) -> None:
    """The next version reads the files of this one."""
    storage = LocalStorage(str(tmp_path))
    storage.write(layout.MANIFEST_FILE, json.dumps(GOOD).encode())
    manifest = read_manifest(storage)
    assert manifest == RunManifest("r", 1, "a INT", (Shard("s", 1, 1, "x", 0, "p"),), (), "p")
