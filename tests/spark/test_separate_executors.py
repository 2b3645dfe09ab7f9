"""Executors with other disks than the driver: the run is refused, and nothing is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.modules import run_module


@pytest.mark.long
def test_executors_prove_that_they_share_the_run_folder(tmp_path: Path) -> None:
    """A shared folder is taken; another one is refused by the probe, and before the commit.

    Doctor finds executors that lack packages, although its own function runs there.
    """
    done = run_module("tests.spark.separate_executors", tmp_path, str(tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["records"] == 60
    assert any("is shared by the driver and 2 executors" in line for line in seen["lines"])
    kind, text = seen["probe"]
    assert kind == "ConfigError"
    assert "do not see each other's files there; use an s3:// run_uri" in text
    kind, text = seen["commit"]
    assert kind == "RunFolderError"
    assert "files that the executors wrote are not here as they wrote them: shards/" in text
    assert "Nothing was committed or submitted" in text
    same, bare = seen["doctor"]
    assert {line.split(":")[0] for line in same if "clock" in line} == {"ok"}
    assert same[0].startswith("ok: executor ")
    assert re.match(r"error: executor \S+: lacks .*\bmsgspec, .*\bxxhash\b", bare[0])
    assert " -> bedrock-spark environment --python 3." in bare[0]
    assert not (tmp_path / "own" / "manifest.json").exists()
