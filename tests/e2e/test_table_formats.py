"""Delta Lake, Iceberg and Hive tables as source and as place of the results, in another process."""

from __future__ import annotations

import pytest

from tests.e2e.lake_outcomes import FORMATS, Errors, check, errors_of, subjects
from tests.modules import ROOT
from tests.sources_doc import LAKEHOUSE, Example, examples, packages_for

pytestmark = [pytest.mark.long, pytest.mark.jars]

HEADINGS = (*FORMATS, "Hive")


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    return errors_of(HEADINGS, tmp_path_factory)


@pytest.mark.parametrize("example", subjects(HEADINGS), ids=str)
def test_every_row_of_a_table_is_a_record(errors: Errors, example: Example) -> None:
    """Deleted rows are no records. If the example names a version, later rows are none either."""
    check(errors, example.heading, str(example))


@pytest.mark.parametrize("heading", FORMATS)
def test_rows_are_published_once(errors: Errors, heading: str) -> None:
    """Repeated merges and appends add no duplicates; see publish_formats.py."""
    check(errors, heading, heading)


def test_the_commands_of_the_page_ask_for_the_packages_of_its_table() -> None:
    """The commands of the page have the packages of its table, which are the tested ones."""
    asked = {
        e.settings(ROOT).get("spark.jars.packages")
        for e in examples("bash", LAKEHOUSE)
        if e.heading in FORMATS
    }
    assert asked == packages_for("3.5.0")
