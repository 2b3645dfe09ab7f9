"""Iceberg tables in catalogs that are services, in a process of their own."""

from __future__ import annotations

import pytest

from tests.e2e.lake_outcomes import CATALOGS, FORMATS, Errors, check, errors_of, subjects
from tests.e2e.publish_formats import PUBLISHERS
from tests.e2e.table_formats import MAKERS
from tests.sources_doc import Example

pytestmark = [pytest.mark.long, pytest.mark.jars]


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    return errors_of(CATALOGS, tmp_path_factory)


@pytest.mark.parametrize("example", subjects(CATALOGS), ids=str)
def test_every_row_of_a_table_is_a_record(errors: Errors, example: Example) -> None:
    check(errors, example.heading, str(example))


@pytest.mark.parametrize("heading", CATALOGS)
def test_rows_are_published_once(errors: Errors, heading: str) -> None:
    """Repeated merges and appends add no duplicates; see publish_formats.py."""
    check(errors, heading, heading)


def test_every_heading_has_its_tests() -> None:
    """Here, or in test_table_formats.py."""
    assert set(MAKERS) == {*FORMATS, *CATALOGS, "Hive"}
    assert set(PUBLISHERS) == {*FORMATS, *CATALOGS}
