"""Two prepares of one run at once: the first to commit wins, and no file of its is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import AlreadyExistsError, DuplicateKeyError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, commit_manifest, read_manifest
from bedrock_spark.run_folder.prepared_files import check_written
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.prepare import repartitioning, stage
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from bedrock_spark.storage.local import LocalWriter
from tests.prepared import rejects_file, rows_file
from tests.spark_sessions import make_config

pytestmark = pytest.mark.long

SHARDS = {"max_records": 20, "max_bytes": 100_000, "min_records": 5}


def rows(spark: SparkSession, count: int, text: str) -> DataFrame:
    """Return rows of which each tenth has no text, so that both prepares have rejects, too."""
    return spark.range(count).selectExpr(
        "id", f"CASE WHEN id % 10 != 3 THEN concat('{text} ', id) END AS body"
    )


def open_run_in(folder: Path) -> Run:
    return open_run(make_config(str(folder), shards=SHARDS), SystemClock())


def files_of(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file that prepare wrote, by path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for subfolder in ("shards", "rows", "rejects")
        for path in (folder / subfolder).rglob("*")
        if path.is_file()
    }


def check_is_whole(folder: Path, manifest: RunManifest) -> None:
    """Check that the folder has exactly the files that the manifest names, byte for byte."""
    files = files_of(folder)
    assert {shard.key: shard.sha256 for shard in manifest.shards}.items() <= files.items()
    named = {folder / shard.key for shard in manifest.shards}
    named |= {rows_file(folder, shard) for shard in manifest.shards}
    named |= {rejects_file(folder, manifest, r.bucket) for r in manifest.rejects}
    assert {folder / path for path in files} == named


def begin_before(
    monkeypatch: pytest.MonkeyPatch, name: str, other: Callable[[], RunManifest]
) -> list[RunManifest]:
    """Let another prepare run, from beginning to end, right before this one calls `name`."""
    module = stage if hasattr(stage, name) else repartitioning
    original = getattr(module, name)
    others: list[RunManifest] = []

    def after_the_other(*arguments: object) -> object:
        monkeypatch.setattr(module, name, original)
        others.append(other())
        return original(*arguments)

    monkeypatch.setattr(module, name, after_the_other)
    return others


# The second source has fewer rows, as many rows with other texts, more rows.
SECOND = [(40, "late"), (120, "late"), (400, "late")]


@pytest.mark.parametrize(("count", "text"), SECOND)
@pytest.mark.parametrize("moment", ["estimate_size", "commit_manifest"])
def test_a_slower_prepare_never_touches_what_is_committed(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    count: int,
    text: str,
) -> None:
    """It began first, before its first write or up to its commit; the other one commits meanwhile.

    It returns the other's manifest, and leaves no file of its own.
    """
    run = open_run_in(tmp_path)
    committed: dict[str, str] = {}

    def faster() -> RunManifest:
        manifest = prepare(spark, run, rows(spark, 120, "early"))
        committed.update({k: v for k, v in files_of(tmp_path).items() if manifest.prepare_id in k})
        return manifest

    others = begin_before(monkeypatch, moment, faster)
    returned = prepare(spark, run, rows(spark, count, text))
    assert [returned] == others == [read_manifest(run.storage)]
    assert files_of(tmp_path) == committed
    check_is_whole(tmp_path, returned)


@pytest.mark.parametrize(("count", "text"), SECOND)
@pytest.mark.parametrize("shards", [0, 1])
def test_the_winner_deletes_a_slower_one_that_still_writes(
    spark: SparkSession, tmp_path: Path, shards: int, count: int, text: str
) -> None:
    """The slower one began first. The faster one begins and commits while it writes its shards.

    The faster one deletes the shards that the slower one has by then. That one goes on in its own
    folder, finds the manifest, and deletes what it wrote.
    """
    run = open_run_in(tmp_path)
    slow = replace(run, storage=LetsTheOtherWin(run.config.run_uri, shards))
    returned = prepare(spark, slow, rows(spark, count, text))
    seen = json.loads((tmp_path / "lost").read_text())
    assert len([key for key in seen["before"] if key.startswith("shards/")]) >= shards
    assert not set(seen["before"]) & set(seen["after"])
    assert seen["unseen"] > 0
    assert returned == read_manifest(run.storage)
    assert returned.rows == 1
    check_is_whole(tmp_path, returned)


class LetsTheOtherWin(LocalStorage):
    """Commits another prepare, of one row, in the middle of this one: once it has some shards.

    shards: how many are there by then
    """

    def __init__(self, uri: str, shards: int) -> None:
        super().__init__(uri)
        self.shards = shards

    def writer(self, key: str, behind: int = 2) -> LocalWriter:
        """Begin an object; at the first commit after `shards`, the other prepare runs before."""
        return CommitsAfter(self.root / key, self.let_the_other_win)

    def let_the_other_win(self, size: int) -> None:
        """Let the other prepare begin, commit and clean up, once; note what was there."""
        own = LocalStorage(self.uri)
        before = [o.key for o in own.list("") if o.key.startswith(("shards/", "rows/"))]
        if len([key for key in before if key.startswith("shards/")]) < self.shards:
            return
        try:
            own.create("losing", b"")
        except AlreadyExistsError:
            return
        commit_another(own)
        after = [o.key for o in own.list("")]
        own.write("lost", json.dumps({"before": before, "after": after, "unseen": size}).encode())


class CommitsAfter(LocalWriter):
    """Calls a function right before its commit, with the size of its file, which is whole."""

    def __init__(self, path: Path, before_commit: Callable[[int], None]) -> None:
        super().__init__(path)
        self._before_commit = before_commit

    def commit(self) -> None:
        """Call the function, then commit."""
        self._file.flush()
        self._before_commit(self._temporary.stat().st_size)
        super().commit()


def commit_another(storage: LocalStorage) -> None:
    """Write and commit a prepare of one row; it also deletes what it finds of others."""
    from bedrock_spark.run_folder.manifest import Shard

    line = b'{"recordId":"2GrFnRZSDSH","modelInput":{}}\n'
    digest = hashlib.sha256(line).hexdigest()
    shard = Shard("shard-00000-00", 1, len(line), digest, prepare_id="feedfeedfeed")
    storage.write(shard.key, line)
    storage.write(f"rows/{shard.prepare_id}/{shard.shard_id}.parquet", b"one row")
    run_id = json.loads(storage.read(layout.RUN_FILE))["run_id"]
    manifest = RunManifest(run_id, 1, "`id` bigint", (shard,), (), shard.prepare_id)
    unnamed = check_written(storage, manifest)
    commit_manifest(storage, manifest)
    storage.delete(unnamed)


def test_a_prepare_that_fails_leaves_its_rejects_only(spark: SparkSession, tmp_path: Path) -> None:
    """Repeated keys stop it; nothing is committed, and the shards are deleted at once."""
    run = open_run_in(tmp_path)
    twice = rows(spark, 60, "x").union(rows(spark, 60, "x"))
    with pytest.raises(DuplicateKeyError):
        prepare(spark, run, twice)
    assert read_manifest(run.storage) is None
    assert {path.split("/")[0] for path in files_of(tmp_path)} <= {"rejects"}
    manifest = prepare(spark, run, rows(spark, 60, "x"))
    check_is_whole(tmp_path, manifest)
