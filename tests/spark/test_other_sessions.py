"""More cores, failing tasks, killed workers and a killed driver lead to the same files."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.run_folder.manifest import read_manifest
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from tests.modules import run_module
from tests.prepared import digests
from tests.spark.fixed_input import expected_shards, fixed_input, open_fixed_run, shards_of
from tests.spark.other_sessions import KILLED_AFTER_SHARDS

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the runs of the other sessions, the last of which was killed."""
    runs = tmp_path_factory.mktemp("runs")
    process = run_module("tests.spark.other_sessions", runs, str(runs))
    assert process.returncode == -signal.SIGKILL, process.stderr[-4000:]
    return runs


@pytest.mark.parametrize("run", ["one", "four", "failing"])
def test_cores_and_failures_change_no_byte(folder: Path, run: str) -> None:
    """One core or four, first attempt or second: the same names and the same bytes."""
    manifest = read_manifest(LocalStorage(str(folder / run)))
    assert manifest is not None
    assert shards_of(manifest) == expected_shards()
    assert digests(folder / run) == digests(folder / "one")


def test_tasks_did_fail(folder: Path) -> None:
    """Every bucket's first attempt failed, some by an error and some by a killed worker."""
    died = {path.name.rsplit("-", 1)[0] for path in (folder / "failing" / "died").iterdir()}
    assert died >= {shard[0].rsplit("-", 1)[0] for shard in expected_shards()}


def test_a_killed_prepare_commits_nothing_and_can_be_repeated(
    spark: SparkSession, folder: Path
) -> None:
    """The shards written before the kill are uncommitted. Prepare again writes the same run."""
    killed = folder / "killed"
    final = digests(folder / "one")
    written = {path: digest for path, digest in digests(killed).items() if path in final}
    shards = [path for path in written if path.startswith("shards/")]
    assert KILLED_AFTER_SHARDS <= len(shards) < len(expected_shards())
    assert written.items() <= final.items()
    assert not (killed / "manifest.json").exists()
    manifest = prepare(spark, open_fixed_run(killed), fixed_input(spark))
    assert shards_of(manifest) == expected_shards()
    assert digests(killed) == final
