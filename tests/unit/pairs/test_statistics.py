"""Intervals and agreement, compared with published values and with a derivation of their own."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.pairs.statistics import kappa, wilson

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe (1998), https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E,
        # table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_has_the_published_values(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_share_is_within_its_interval(successes: int, failures: int) -> None:
    trials = successes + failures
    low, high = wilson(successes, trials)
    assert 0 <= low <= high <= 1
    if trials:
        assert low <= successes / trials <= high


def test_kappa_has_the_published_value() -> None:
    """The example of https://en.wikipedia.org/wiki/Cohen%27s_kappa: 50 proposals, two readers."""
    found = kappa({("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15})
    assert found is not None
    assert found[0] == pytest.approx(0.4)


labels = st.sampled_from("abcd")
tables = st.dictionaries(st.tuples(labels, labels), st.integers(1, 60), min_size=2)


@given(tables)
def test_the_error_of_kappa_is_that_of_the_delta_method(pairs: dict[tuple[str, str], int]) -> None:
    """Derive kappa by each share numerically: the published formula must give the same error."""
    total = sum(pairs.values())
    shares = {pair: count / total for pair, count in pairs.items()}

    def value_of(of: dict[tuple[str, str], float]) -> float:
        first: Counter[str] = Counter()
        second: Counter[str] = Counter()
        for (a, b), share in of.items():
            first[a] += share  # type: ignore[assignment]
            second[b] += share  # type: ignore[assignment]
        whole = sum(of.values())
        chance = sum(first[name] * second[name] for name in first) / whole**2
        agreed = sum(share for (a, b), share in of.items() if a == b) / whole
        return (agreed - chance) / (1 - chance)

    found = kappa(pairs)
    if found is None:
        assert len({label for pair in pairs for label in pair}) == 1
        return
    assert found[0] == pytest.approx(value_of(shares), abs=1e-12)
    slopes, step = {}, 1e-6
    for pair, share in shares.items():
        up, down = {**shares, pair: share + step}, {**shares, pair: share - step}
        slopes[pair] = (value_of(up) - value_of(down)) / (2 * step)
    mean = sum(share * slopes[pair] for pair, share in shares.items())
    variance = sum(share * slopes[pair] ** 2 for pair, share in shares.items()) - mean**2
    error = math.sqrt(max(0.0, variance) / total)
    assert found[1] == pytest.approx(max(-1.0, found[0] - Z * error), abs=1e-4)
    assert found[2] == pytest.approx(min(1.0, found[0] + Z * error), abs=1e-4)


@pytest.mark.parametrize("pairs", [{}, {("a", "a"): 5}])
def test_kappa_of_one_label_is_not_defined(pairs: dict[tuple[str, str], int]) -> None:
    """Agreement by chance is full then, and nothing is left to agree about."""
    assert kappa(pairs) is None
