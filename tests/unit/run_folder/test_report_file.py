"""Reading the last report: one of another shape counts as none, and is said to be damaged."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import report_json

WHOLE = report_json(run_id="r", rows=3, outcomes={"ok": 3}, fallback_tokens={"input": 5})


def read(folder: Path, content: object) -> dict[str, Any] | None:
    storage = LocalStorage(str(folder))
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    storage.write(layout.REPORT_FILE, data)
    return read_report(storage, "r")


def test_a_whole_report_is_read_as_it_is(tmp_path: Path) -> None:
    """Also with a key of a later version."""
    more = {**WHOLE, "more": 1}
    assert read(tmp_path, more) == more


@pytest.mark.parametrize("key", sorted(WHOLE.keys() - {"version", "run_id"}))
def test_a_report_of_another_shape_counts_as_none(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No command ends with a traceback because of it. The warning names the key, no value."""
    without = {name: value for name, value in WHOLE.items() if name != key}
    for content in (without, {**WHOLE, key: ("secret", {})}):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert read(tmp_path, content) is None
        assert f"{tmp_path}/{layout.REPORT_FILE}: is not the report of a run" in caplog.text
        assert key in caplog.text
        assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"damaged", b"[" * 100_000, b"[1]", {**WHOLE, "version": 0}, {"run_id": "r"}]
)
def test_what_is_no_report_counts_as_none(tmp_path: Path, content: object) -> None:
    assert read(tmp_path, content) is None


def test_the_report_of_another_run_counts_as_none(tmp_path: Path) -> None:
    """Nobody is warned: the folder was emptied, and begun again."""
    assert read(tmp_path, {**WHOLE, "run_id": "other"}) is None
