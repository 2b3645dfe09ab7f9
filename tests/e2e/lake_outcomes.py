"""Run `lake_sessions` for some headings of docs/lakehouse.md, and look at how each example ended.

Spark itself fetches the jars from the repository of its configuration. If that fails, the tests are
skipped; with BEDROCK_SPARK_REQUIRE_JARS=1 they fail.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pyspark
import pytest

from tests.e2e.publish_formats import PUBLISHERS
from tests.e2e.table_formats import MAKERS
from tests.modules import run_module
from tests.sources_doc import LAKEHOUSE, Example, examples, packages_for

FORMATS = ("Delta Lake", "Iceberg")
CATALOGS = ("Glue catalog", "JDBC catalog")
WITH_JARS = (*FORMATS, *CATALOGS)
# Messages of Spark's resolver if it could not get a package.
UNRESOLVED = ("unresolved dependency", "download failed")

# The error of each example, and of publishing under each heading; None if it passed, "SKIP: ..." if
# it needs jars that are missing.
Errors = dict[str, str | None]


def subjects(headings: Sequence[str]) -> list[Example]:
    """Return the examples of a source under these headings that can be tested."""
    return [e for e in examples("yaml", LAKEHOUSE) if e.heading in headings and e.heading in MAKERS]


def can_be_tested(heading: str) -> bool:
    """Tell whether the packages of a heading exist for this version of Spark."""
    return heading not in WITH_JARS or packages_for(pyspark.__version__) is not None


def errors_of(headings: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """Read and publish the tables of those headings that can be tested; return the errors."""
    chosen = [heading for heading in headings if can_be_tested(heading)]
    if not chosen:
        return {}
    outcomes, stderr = _outcomes(tmp_path_factory.mktemp("formats"), chosen)
    missing = next((x for x in stderr.split("\n") if any(u in x for u in UNRESOLVED)), None)
    if missing is None:
        assert outcomes, stderr[-4000:]
        return outcomes
    if os.environ.get("BEDROCK_SPARK_REQUIRE_JARS") == "1":
        pytest.fail(f"Spark could not get the jars: {missing}\n{stderr[-4000:]}")
    without = [heading for heading in chosen if heading not in WITH_JARS]
    others: Errors = {}
    if without:
        others, stderr = _outcomes(tmp_path_factory.mktemp("others"), without)
        assert others, stderr[-4000:]
    with_jars = [heading for heading in chosen if heading in WITH_JARS]
    skipped = [*map(str, subjects(with_jars)), *PUBLISHERS]
    reason = f"SKIP: Spark could not get the jars: {missing.strip()}"
    return others | dict.fromkeys(skipped, reason)


def _outcomes(folder: Path, headings: list[str]) -> tuple[Errors, str]:
    """Return the errors, and Spark's stderr."""
    done = run_module("tests.e2e.lake_sessions", folder, *headings)
    outcomes = folder / "outcomes.json"
    return json.loads(outcomes.read_text()) if outcomes.exists() else {}, done.stderr


def check(errors: Errors, heading: str, subject: str) -> None:
    """Fail if an example failed; skip if it could not be tested."""
    if not can_be_tested(heading):
        pytest.skip(f"no released {heading} works with Spark {pyspark.__version__}")
    error = errors[subject]
    if error is not None and error.startswith("SKIP: "):
        pytest.skip(error.removeprefix("SKIP: "))
    assert error is None, error
