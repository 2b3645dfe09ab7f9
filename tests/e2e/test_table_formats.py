"""Delta Lake, Iceberg in several catalogs, and Hive tables, in another process.

They need jars, or a catalog.

Spark itself fetches the jars from the repository of its configuration. If that fails, the tests are
skipped; with BEDROCK_SPARK_REQUIRE_JARS=1 they fail.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyspark
import pytest

from tests.e2e.publish_formats import PUBLISHERS
from tests.e2e.table_formats import MAKERS
from tests.modules import ROOT, run_module
from tests.sources_doc import LAKEHOUSE, Example, examples, packages_for

pytestmark = [pytest.mark.long, pytest.mark.jars]

TESTED = ("Delta Lake", "Iceberg")
CATALOGS = ("Glue catalog", "JDBC catalog")
WITH_JARS = (*TESTED, *CATALOGS)
SUBJECTS = [e for e in examples("yaml", LAKEHOUSE) if e.heading in MAKERS]
# The messages of Spark's resolver if it could not get a package.
UNRESOLVED = ("unresolved dependency", "download failed")

Errors = dict[str, str | None]


def headings() -> list[str]:
    """Return the headings that can be tested with this version of Spark."""
    with_jars = packages_for(pyspark.__version__) is not None
    return [h for h in MAKERS if with_jars or h not in WITH_JARS]


def use_formats(folder: Path, chosen: list[str]) -> tuple[Errors, str]:
    """Read and publish the tables of these headings; return the errors, and Spark's stderr."""
    done = run_module("tests.e2e.lake_sessions", folder, *chosen)
    outcomes = folder / "outcomes.json"
    return json.loads(outcomes.read_text()) if outcomes.exists() else {}, done.stderr


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """Return the error of each subject, None if it passed; "SKIP: ..." if it needs missing jars."""
    outcomes, stderr = use_formats(tmp_path_factory.mktemp("formats"), headings())
    missing = next((x for x in stderr.split("\n") if any(u in x for u in UNRESOLVED)), None)
    if missing is None:
        assert outcomes, stderr[-4000:]
        return outcomes
    if os.environ.get("BEDROCK_SPARK_REQUIRE_JARS") == "1":
        pytest.fail(f"Spark could not get the jars: {missing}\n{stderr[-4000:]}")
    reason = f"SKIP: Spark could not get the jars: {missing.strip()}"
    hive_only, stderr = use_formats(tmp_path_factory.mktemp("hive"), ["Hive"])
    assert hive_only, stderr[-4000:]
    with_jars = [str(e) for e in SUBJECTS if e.heading in WITH_JARS]
    return hive_only | dict.fromkeys([*with_jars, *PUBLISHERS], reason)


@pytest.mark.parametrize("example", SUBJECTS, ids=str)
def test_every_row_of_a_table_is_a_record(errors: Errors, example: Example) -> None:
    """Deleted rows are no records. If the example names a version, later rows are none either."""
    check(errors, example.heading, str(example))


@pytest.mark.parametrize("heading", PUBLISHERS)
def test_rows_are_published_once(errors: Errors, heading: str) -> None:
    """Repeated merges and appends add no duplicates; see publish_formats.py."""
    check(errors, heading, heading)


def check(errors: Errors, heading: str, subject: str) -> None:
    if heading not in headings():
        pytest.skip(f"no released {heading} works with Spark {pyspark.__version__}")
    error = errors[subject]
    if error is not None and error.startswith("SKIP: "):
        pytest.skip(error.removeprefix("SKIP: "))
    assert error is None, error


def test_the_commands_of_the_page_ask_for_the_packages_of_its_table() -> None:
    """The commands of the page have the packages of its table, which are the tested ones."""
    asked = {
        e.settings(ROOT).get("spark.jars.packages")
        for e in examples("bash", LAKEHOUSE)
        if e.heading in TESTED
    }
    assert asked == packages_for("3.5.0")
