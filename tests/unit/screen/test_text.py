"""Rates and durations in words."""

from __future__ import annotations

import pytest

from bedrock_spark.screen import rate_text, time_left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3_599, "1 h 0 min"),
        (3_300, "55 min"),
        (7_500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (10**6, "11 d 14 h"),
    ],
)
def test_a_duration_has_the_units_that_matter(seconds: float, text: str) -> None:
    """Nobody needs the seconds of two hours."""
    assert time_left(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1_234.5, "1,234/s"), (1, "1/s"), (0.5, "30/min"), (0.02, "1/min"), (0.001, "3.6/h")],
)
def test_a_rate_is_at_least_one_if_it_can(rate: float, text: str) -> None:
    """A slow stage would show 0/s."""
    assert rate_text(rate) == text
