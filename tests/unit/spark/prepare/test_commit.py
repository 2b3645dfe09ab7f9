"""The manifest of a prepare is committed; another process may have been first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedrock_spark.errors import OtherPlanError, RunFolderError
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest, read_manifest
from bedrock_spark.run_folder.run import begin_run, open_run
from bedrock_spark.spark.prepare.stage import _commit
from tests.unit.fakes import FakeClock, make_config


def refuse(manifest: RunManifest) -> None:
    raise OtherPlanError(f"{manifest.prepare_id} is not what was agreed on")


def test_the_shards_of_another_process_must_be_approved_too(tmp_path: Path) -> None:
    """Those of its own were, before. Nothing of the other process is deleted."""
    run = begin_run(open_run(make_config(str(tmp_path)), FakeClock()))
    shards = (Shard("shard-00000-00", 7, 70, "a"),)
    theirs = RunManifest(run.run_id, 7, "a INT", shards, (), "theirs")
    ours = replace(theirs, prepare_id="ours")
    commit_manifest(run.storage, theirs)
    with pytest.raises(OtherPlanError, match="theirs is not"):
        _commit(run, ours, [], refuse)
    kept = read_manifest(run.storage)
    assert kept is not None
    assert kept.prepare_id == "theirs"
    approved: list[RunManifest] = []
    assert _commit(run, ours, [], approved.append) == kept
    assert approved == [kept]


def test_the_shards_of_another_config_are_not_used(tmp_path: Path) -> None:
    """A process with it was replaced, and committed before it noticed. Its files stay."""
    run = begin_run(open_run(make_config(str(tmp_path)), FakeClock()))
    theirs = RunManifest("another-run", 0, "a INT", (), (), "theirs")
    commit_manifest(run.storage, theirs)
    run.storage.write("shards/theirs/x", b"theirs")
    with pytest.raises(RunFolderError, match=r"is of the run another-run, run\.json of"):
        _commit(run, replace(theirs, run_id=run.run_id, prepare_id="ours"), [], refuse)
    assert run.storage.read("shards/theirs/x") == b"theirs"


def test_what_no_manifest_names_is_deleted_with_the_commit_and_not_without(tmp_path: Path) -> None:
    run = begin_run(open_run(make_config(str(tmp_path)), FakeClock()))
    first = RunManifest(run.run_id, 0, "a INT", (), (), "first")
    left = ["shards/dead/x", "rows/dead/x"]
    for manifest in (first, replace(first, prepare_id="second")):
        for key in left:
            run.storage.write(key, b"left")
        assert _commit(run, manifest, left, lambda _: None).prepare_id == "first"
        is_there = [run.storage.read_if_present(key) is not None for key in left]
        assert is_there == [manifest.prepare_id == "second"] * 2


def test_shards_are_approved_before_they_are_committed_and_not_again(tmp_path: Path) -> None:
    run = begin_run(open_run(make_config(str(tmp_path)), FakeClock()))
    ours = RunManifest(run.run_id, 0, "a INT", (), (), "ours")
    assert _commit(run, ours, [], refuse) == ours
