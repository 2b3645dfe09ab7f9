"""`bedrock-spark answers compact`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from bedrock_spark.cli import main
from tests.unit.answers.rows import answer, found, store_at, write


def test_small_files_are_merged(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer("a"), answer("b")], label="run-1")
    write(storage, [answer("b", "new", at=5), answer("c")], label="run-2")
    done = CliRunner().invoke(main, ["answers", "compact", storage.uri, "--json"])
    assert done.exit_code == 0
    counts = {"merged": 2, "written": 1, "answers": 4, "kept": 3, "deleted": 0}
    assert json.loads(done.stdout) == {"uri": storage.uri, **counts}
    assert found(storage, list("abc"))[0] == {"a": "yes", "b": "new", "c": "yes"}


def test_another_folder_is_no_store(tmp_path: Path) -> None:
    """Nothing is written there."""
    done = CliRunner().invoke(main, ["answers", "compact", str(tmp_path)])
    assert done.exit_code == 3
    assert "is no store of answers" in done.stderr
    assert not list(tmp_path.iterdir())
