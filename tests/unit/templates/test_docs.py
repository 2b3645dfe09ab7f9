"""docs/templates.md: every example renders to the result that the page shows.

The examples of Spark's types are tested in tests/spark/test_template_values.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_spark.templates.body_template import RowRejected, compile_template
from bedrock_spark.templates.json_values import Unrenderable
from tests.docs import TEMPLATES, table_rows

OBJECTS = {
    "s3://pictures/tea.gif": b"GIF89a",
    "s3://papers/notes.md": b"# Notes",
    "s3://papers/notes": b"# Notes",
}


def fetch(uri: str) -> bytes:
    """Return the bytes of an object, as S3 does."""
    if uri not in OBJECTS:
        raise Unrenderable("names an S3 object that is not there (NoSuchKey)")
    return OBJECTS[uri]


def examples(result: str) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """Yield template, row and result of every example in the tables with this last column."""
    for template, row, becomes in table_rows(TEMPLATES, ("template", "row", result)):
        yield json.loads(template), json.loads(row), becomes


@pytest.mark.parametrize(("template", "row", "becomes"), list(examples("becomes")))
def test_every_example_has_the_result_in_the_docs(
    template: Any, row: dict[str, Any], becomes: str
) -> None:
    """The value and its type are equal."""
    assert json.loads(compile_template(template, fetch=fetch).render(row)) == json.loads(becomes)


@pytest.mark.parametrize(("template", "row", "reason"), list(examples("rejected with")))
def test_every_rejection_has_the_reason_in_the_docs(
    template: Any, row: dict[str, Any], reason: str
) -> None:
    """The column comes before the reason."""
    with pytest.raises(RowRejected) as caught:
        compile_template(template, fetch=fetch).render(row)
    assert str(caught.value) == reason


def test_every_table_of_the_page_is_tested() -> None:
    """A test reads every table, here or in tests/spark."""
    headers = re.findall(r"^(\| .* \|)\n\| ---", TEMPLATES, re.MULTILINE)
    assert set(headers) == {
        "| template | row | becomes |",
        "| template | row | rejected with |",
        "| Spark type | for example | JSON form | text form |",
        "| what | for example | reason |",
    }
    assert len(list(examples("becomes"))) >= 25
