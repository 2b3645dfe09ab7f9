"""Sums of numbers and their median, in whatever order they are added up."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.pairs import sums
from bedrock_spark.pairs.sums import NumberSums, Sizes

numbers = st.lists(st.floats(0, 1e100, allow_subnormal=True), min_size=1, max_size=40)


def merged(parts: list[list[float]]) -> Sizes:
    whole = Sizes()
    for part in parts:
        own = Sizes()
        own.add(np.array(part))
        whole.merge(own)
    return whole


@given(numbers, st.integers(1, 5))
def test_a_median_of_few_sizes_is_exact(values: list[float], parts: int) -> None:
    found = merged([values[i::parts] for i in range(parts)])
    assert found.median() == statistics.median(values)


@given(numbers, st.integers(1, 5))
def test_a_median_of_many_sizes_is_right_within_half_a_percent(
    values: list[float], parts: int
) -> None:
    """Of values that are counted in bins; of an even number, of the two in the middle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "MOST_SIZES", 0)
        found = merged([values[i::parts] for i in range(parts)])
        assert found.exact is None
        low, high = statistics.median_low(values), statistics.median_high(values)
        median = found.median()
    assert median is not None
    assert low * 0.994 / 1 <= median * 1.0001 or median == pytest.approx(low, abs=1e-300)
    assert median <= high * 1.006 + 1e-300


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 6), st.integers(0, 12))
def test_the_order_does_not_count(values: list[int], parts: int, most: int) -> None:
    """Also if only some of the parts have too many sizes to count them exactly."""
    pieces = [[float(v) for v in values[i::parts]] for i in range(parts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "MOST_SIZES", most)
        one, other = merged(pieces), merged(pieces[::-1])
        assert one.median() == other.median()
        assert (one.exact is None) == (other.exact is None) == (len(set(values)) > most)


def test_nothing_has_no_median() -> None:
    assert Sizes().median() is None


def test_numbers_are_added_up() -> None:
    whole, other = NumberSums(), NumberSums()
    whole.add(np.array([1.0, 2.0]), np.array([2.0, 0.0]))
    other.add(np.array([5.0]), np.array([8.0]))
    whole.add(np.array([]), np.array([]))
    whole.merge(other)
    assert (whole.pairs, whole.first, whole.second) == (3, 8.0, 10.0)
    assert (whole.absolute, whole.largest, whole.sizes.median()) == (6.0, 3.0, 2.0)
