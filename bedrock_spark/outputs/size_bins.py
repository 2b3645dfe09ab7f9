"""Bins for numbers of any size, such as tokens of an answer: about six per factor of ten.

A bin is named by its least number, as text, because JSON's keys are texts. So histograms of shards
are added up by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STEPS = (1, 2, 3, 5, 7)
# The least number of each bin. 0 has a bin of its own; 10 to 14 and 15 to 19 are two.
LEAST: tuple[int, ...] = (
    0,
    *_STEPS,
    *(int(step * 10**power) for power in range(1, 9) for step in (1, 1.5, *_STEPS[1:])),
)
_PLACES = {str(least): place for place, least in enumerate(LEAST)}


def as_bins(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return a histogram as a list: `least`, `most` and `count`, from the first bin to the last.

    most: None for the last bin of all, which has no end; empty bins in between are there
    """
    places = [_PLACES[name] for name, count in counts.items() if count]
    if not places:
        return []
    return [
        {
            "least": LEAST[place],
            "most": LEAST[place + 1] - 1 if place + 1 < len(LEAST) else None,
            "count": counts.get(str(LEAST[place]), 0),
        }
        for place in range(min(places), max(places) + 1)
    ]


def counts_of(bins: list[dict[str, Any]]) -> dict[str, int]:
    """Return the histogram that `as_bins` has made a list of."""
    return {str(each["least"]): int(each["count"]) for each in bins if each["count"]}
