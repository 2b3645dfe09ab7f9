"""The text of a value in a table of rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from bedrock_spark.ui.record_view import pairs_of
from bedrock_spark.ui.rows_view import cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (8.01e-06, "0.00000801"),
        (1e22, "10000000000000000000000"),
        (0.5, "0.5"),
        (float("nan"), "NaN"),
        (Decimal("0.10"), "0.10"),
        (dt.date(2026, 11, 27), "2026-11-27"),
        ("two\n lines", "two lines"),
        (["a", {"b": 1}], '["a", {"b": 1}]'),
        ("x" * 500, "x" * 159 + "…"),
    ],
)
def test_a_value_is_one_short_line(value: Any, text: str) -> None:
    assert cell(value) == text


def test_the_page_of_a_record_shows_values_whole() -> None:
    """Numbers as in the table, and what is null not at all."""
    values = {"a": 5.4e-05, "b": None, "c": "two\n lines", "d": [1e-07], "e": float("inf"), "f": 3}
    shown = (
        ("a", "0.000054"),
        ("c", "two\n lines"),
        ("d", "[1e-07]"),
        ("e", "Infinity"),
        ("f", "3"),
    )
    assert pairs_of(values) == shown
