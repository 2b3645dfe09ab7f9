"""No row is lost between those with a kept answer and those that are asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark.sql import DataFrame

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import PlanError
from bedrock_spark.run_folder.manifest import KeptRows
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.prepare.looked import Looked
from bedrock_spark.spark.prepare.stage import _manifest
from tests.unit.fakes import make_config

SOME_ROWS = cast(DataFrame, object())
KEPT = (KeptRows("kept-00000-00", 5, 5, 50),)


def bucket(rows: int) -> dict[str, Any]:
    return {"bucket": 0, "rows": rows, "rejected": rows, "repeated": 0, "shards": []}


def test_rows_that_went_on_are_those_that_came_to_be_asked(tmp_path: Path) -> None:
    """They may be computed twice: if an executor is lost, and its source has changed meanwhile."""
    run = open_run(make_config(str(tmp_path)), SystemClock())
    size = SourceSize(3, 30, 300, 30, 300)
    looked = Looked(size, SOME_ROWS, KEPT, is_read=True)
    manifest = _manifest(run, "n INT", [bucket(3)], looked, "0a1b2c3d4e5f")
    assert (manifest.rows, manifest.kept_rows, manifest.rejected) == (8, 5, 3)
    for rows in (2, 4):
        with pytest.raises(PlanError, match=f"3 rows had no kept answer, and then {rows} came"):
            _manifest(run, "n INT", [bucket(rows)], looked, "0a1b2c3d4e5f")
    # Without a lookup the size is an estimate.
    estimated = replace(looked, rows=None, kept=())
    assert _manifest(run, "n INT", [bucket(4)], estimated, "0a1b2c3d4e5f").rows == 4
