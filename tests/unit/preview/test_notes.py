"""What a preview says beside its numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import TokenPrices
from bedrock_spark.planning.values import Count
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.sides import Side
from bedrock_spark.preview.summary import notes_of
from bedrock_spark.preview.values import AnsweredRow, Estimate, Whole
from bedrock_spark.prices import RunPrices
from tests.unit.fakes import CLAUDE, make_config

PRICES = RunPrices(canary=TokenPrices(input=Decimal(1), output=Decimal(2)))
ESTIMATE = Estimate(rows=3, input_tokens=9, low=Decimal(1), high=Decimal(2), price="$1")
LEAST = {"shards": {"min_records": 100}}
COUNT = Count(low=1, likely=1, high=1, how="")


def notes(records: int | None = None, rows: tuple[AnsweredRow, ...] = (), **sections: Any) -> str:
    side = Side("a.yaml", make_config(**sections), AwsSettings("us-east-1"), PRICES)
    side.answered = {row.number: row for row in rows}
    whole = None
    if records is not None:
        whole = Whole(records=records, input_tokens=COUNT, output_tokens=COUNT, images=0, cost=None)
    return "; ".join(notes_of(side, PreviewOptions(), ESTIMATE, whole))


def row(number: int, **values: Any) -> AnsweredRow:
    return AnsweredRow(**{"number": number, "row": {}, "outcome": "ok", **values})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "the first rows"),
        ({"where": "id = 1"}, "the first rows for which --where is true"),
        ({"seed": 0}, "the rows at random"),
        ({"seed": 0, "where": "id = 1"}, "the rows at random for which --where is true"),
        ({"keys": ("a",)}, "the rows with these keys"),
    ],
)
def test_the_rows_are_called_what_they_are(options: dict[str, Any], named: str) -> None:
    assert PreviewOptions(**options).rows_name == named


def test_calls_that_are_not_in_the_sum_are_counted() -> None:
    """Not those that were not made: rejected and unasked rows, and rows that share an answer."""
    rows = (
        row(1),
        row(2, outcome="error"),
        row(3, cost=Decimal(1)),
        row(4, outcome="rejected"),
        row(5, outcome="missing"),
        row(6, shares=1),
    )
    assert "2 calls do not say what they cost" in notes(rows=rows)
    assert notes(rows=rows[2:]) == ""


@pytest.mark.parametrize(
    ("records", "sections", "is_refused"),
    [
        (99, LEAST, True),
        (100, LEAST, False),
        (99, {**LEAST, "fallback": {"model_id": CLAUDE}}, False),
    ],
)
def test_a_source_that_a_run_would_refuse(
    records: int, sections: dict[str, Any], is_refused: bool
) -> None:
    """Its cost is not known because nobody would answer it."""
    said = notes(records, **sections)
    assert ("a run would refuse it" in said) == is_refused
    assert ("the whole is like the first rows" in said) == (not is_refused)
