"""The rows of an earlier run help to say which rows are new; a plan does without them, too."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.planning.earlier import EarlierRun, find_earlier
from bedrock_spark.planning.plan_run import _rows_if_readable
from bedrock_spark.run_folder import layout
from tests.unit.planning.test_earlier import opened, prepared

STORE = {"answers": {"uri": "s3://lake/answers"}}


@pytest.fixture
def earlier(tmp_path: Path) -> EarlierRun:
    """A run that is collected."""
    run = prepared(tmp_path / "a")
    run.storage.write(layout.RECONCILIATION_FILE, b"x")
    found = find_earlier(run)
    assert found is not None
    return found


def test_the_rows_of_a_collected_run_with_the_same_key_are_read(
    earlier: EarlierRun, tmp_path: Path
) -> None:
    found = _rows_if_readable(earlier, opened(tmp_path / "b", **STORE))
    assert found is not None
    assert found.storage.uri == str(tmp_path / "a")
    assert found.key == ("id",)


def damage_config(folder: Path) -> None:
    """Leave a version of the config that this version cannot read."""
    (folder / "config").mkdir()
    (folder / "config" / "0001.json").write_text("{")


def unknown_key(folder: Path) -> None:
    """Leave a config with a key that another version knows."""
    (folder / "config").mkdir()
    version: dict[str, Any] = {"format": 1, "at": 1, "config": {"batch": {"nope": 1}}}
    (folder / "config" / "0001.json").write_text(json.dumps(version))


@pytest.mark.parametrize("damage", [damage_config, unknown_key])
def test_a_run_that_cannot_be_read_does_not_end_the_plan_of_another(
    damage: Callable[[Path], None],
    earlier: EarlierRun,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        assert _rows_if_readable(earlier, opened(tmp_path / "b", **STORE)) is None
    assert "which rows are new is not known" in caplog.text
