"""Intervals and agreement of counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TypeVar

# Of a 95 % interval.
_Z = 1.959963984540054

Label = TypeVar("Label", bound=Hashable)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval).

    It is right for small numbers, and for shares near 0 and 1, too. Without trials it is (0, 1).
    """
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, _Z * _Z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = (
        _Z
        * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
        / (1 + square / trials)
    )
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == trials else min(1.0, middle + half)


def kappa(pairs: Mapping[tuple[Label, Label], int]) -> tuple[float, float, float] | None:
    """Return Cohen's kappa of pairs of labels with its 95 % interval; None if it is not defined.

    It is the agreement beyond what would be expected by chance, from the shares of the labels: 1 is
    full agreement, 0 is chance. With a single label on both sides it is not defined. The standard
    error is that of Fleiss, Cohen and Everitt (1969), https://doi.org/10.1037/h0028106.
    """
    total = sum(pairs.values())
    rows: Counter[Label] = Counter()
    columns: Counter[Label] = Counter()
    for (one, other), count in pairs.items():
        rows[one] += count
        columns[other] += count
    by_chance = sum(rows[label] * columns[label] for label in rows)
    if by_chance == total * total:  # also without any pair
        return None
    labels = rows.keys() | columns.keys()
    first = {label: rows[label] / total for label in labels}
    second = {label: columns[label] / total for label in labels}
    chance = by_chance / (total * total)
    agreed = sum(count for (one, other), count in pairs.items() if one == other) / total
    value = (agreed - chance) / (1 - chance)
    spread = 0.0
    for (one, other), count in pairs.items():
        if one == other:
            weight = 1 - (first[one] + second[one]) * (1 - value)
        else:
            weight = (1 - value) * (second[one] + first[other])
        spread += count / total * weight * weight
    spread -= (value - chance * (1 - value)) ** 2
    error = math.sqrt(max(0.0, spread) / total) / (1 - chance)
    return value, max(-1.0, value - _Z * error), min(1.0, value + _Z * error)
