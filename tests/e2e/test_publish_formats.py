"""Merging and appending into Delta Lake and Iceberg, with their jars, in another process."""

from __future__ import annotations

import json
import os

import pyspark
import pytest

from tests.e2e.test_table_formats import UNRESOLVED, WITH_JARS
from tests.modules import run_module
from tests.sources_doc import packages_for

pytestmark = [pytest.mark.long, pytest.mark.jars]


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """Return what went wrong with each format; skip where its jars are not to be had."""
    if packages_for(pyspark.__version__) is None:
        pytest.skip(f"no released Delta Lake or Iceberg works with Spark {pyspark.__version__}")
    folder = tmp_path_factory.mktemp("publish")
    done = run_module("tests.e2e.publish_formats", folder)
    outcomes = folder / "outcomes.json"
    if outcomes.exists():
        found: dict[str, str | None] = json.loads(outcomes.read_text())
        return found
    is_needed = os.environ.get("BEDROCK_SPARK_REQUIRE_JARS") == "1"
    if not is_needed and any(text in done.stderr for text in UNRESOLVED):
        pytest.skip("Spark could not get the jars")
    pytest.fail(done.stderr[-4000:])


@pytest.mark.parametrize("heading", WITH_JARS)
def test_rows_are_published_once(errors: dict[str, str | None], heading: str) -> None:
    """Merged by key, however often; appended once, for Delta Lake even where a machine died."""
    assert errors[heading] is None, errors[heading]
