"""The manifest of a prepare is committed; another process may have been first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedrock_spark.errors import OtherPlanError
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
        _commit(run, ours, refuse)
    kept = read_manifest(run.storage)
    assert kept is not None
    assert kept.prepare_id == "theirs"
    approved: list[RunManifest] = []
    assert _commit(run, ours, approved.append) == kept
    assert approved == [kept]


def test_shards_are_approved_before_they_are_committed_and_not_again(tmp_path: Path) -> None:
    run = begin_run(open_run(make_config(str(tmp_path)), FakeClock()))
    ours = RunManifest(run.run_id, 0, "a INT", (), (), "ours")
    assert _commit(run, ours, refuse) == ours
