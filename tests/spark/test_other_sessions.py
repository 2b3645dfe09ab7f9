"""More cores, failing tasks, killed workers and a killed driver lead to the same files."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.run_folder.manifest import read_manifest
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from tests.modules import run_module
from tests.prepared import digests
from tests.spark.fixed_input import (
    MAX_BYTES,
    expected_shards,
    fixed_input,
    open_fixed_run,
    shards_of,
)
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


def left_behind(run: Path) -> dict[str, int]:
    """Return the sizes of the files that no writer has finished, by path."""
    files = run.rglob(".writing-*")
    return {path.relative_to(run).as_posix(): path.stat().st_size for path in files}


def test_tasks_did_fail(folder: Path) -> None:
    """Every bucket's task failed twice: by an error and by a killed worker, with half of the lines.

    Half a file never has a final name. An error deletes it, a killed worker leaves it behind.
    """
    run = folder / "failing"
    deaths = [json.loads(path.read_text()) for path in (run / "died").glob("*/*")]
    for bucket in {shard[0].rsplit("-", 1)[0] for shard in expected_shards()}:
        own = [death for death in deaths if death["shard"] == f"{bucket}-02"]
        assert {death["how"] for death in own} == {"error", "killed"}
        seen = {death["moment"]: death["visible"] for death in own}
        assert seen == {"write": [], "commit": ["rows"]}
    assert len({(death["moment"], death["how"]) for death in deaths}) == 4
    left = left_behind(run)
    for death in deaths:  # also those of a round with another number of buckets
        if death["how"] == "killed":
            assert 0 < left.pop(death["half"]) <= MAX_BYTES // 2
        else:
            assert death["half"] not in left
    # The rows of a shard whose worker was killed in the middle of its lines.
    killed_early = [d for d in deaths if (d["moment"], d["how"]) == ("write", "killed")]
    assert len([path for path in left if path.startswith("rows/")]) == len(killed_early)
    assert not [path for path in left if path.startswith("shards/")]


def test_a_killed_prepare_commits_nothing_and_can_be_repeated(
    spark: SparkSession, folder: Path
) -> None:
    """The shards written before the kill are uncommitted. Prepare again writes the same run.

    At the kill, a shard's rows were there, and half of its lines under a temporary name.
    """
    killed = folder / "killed"
    # Another worker may have died while it wrote its own note, under a temporary name.
    halves = {path.read_text() for path in (killed / "died").glob("[0-9]*")}
    sizes = {Path(path).name: size for path, size in left_behind(killed).items()}
    assert halves
    assert all(0 < sizes[half] <= MAX_BYTES // 2 for half in halves)
    final = digests(folder / "one")
    written = {path: digest for path, digest in digests(killed).items() if path in final}
    shards = [path for path in written if path.startswith("shards/")]
    assert KILLED_AFTER_SHARDS <= len(shards) < len(expected_shards())
    assert written.items() <= final.items()
    rows = {Path(path).stem for path in written if path.startswith("rows/")}
    assert rows > {Path(path).stem for path in shards}
    assert not (killed / "manifest.json").exists()
    manifest = prepare(spark, open_fixed_run(killed), fixed_input(spark))
    assert shards_of(manifest) == expected_shards()
    assert digests(killed) == final
    storage = LocalStorage(str(killed))
    assert storage.delete_leftovers([], time.time() + 60) >= len(halves)
    assert left_behind(killed) == {}
    assert digests(killed) == final
