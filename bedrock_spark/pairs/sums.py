"""Sums of numbers whose differences are measured. They can be added up in any order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Up to this many different sizes are counted exactly; beyond, in bins of about 1 %.
MOST_SIZES = 5_000
_GAMMA = 1.01
_LOG_GAMMA = math.log(_GAMMA)


@dataclass
class Sizes:
    """How often each size occurs, for a median.

    If there are many sizes, they are counted in bins whose bounds grow by 1 %, as in DDSketch
    (https://www.vldb.org/pvldb/vol12/p2195-masson.pdf): then a median is right within 0.5 %.
    Whether that is so depends on all sizes together, and not on the order in which they came.

    exact: by size; None once there are too many
    bins: by the number of the bin; 0 itself has none
    """

    exact: dict[float, int] | None = field(default_factory=dict)
    bins: dict[int, int] = field(default_factory=dict)
    zeros: int = 0

    def add(self, sizes: Array) -> None:
        """Count sizes, which are not negative."""
        values, counts = np.unique(sizes, return_counts=True)
        self._count(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: Sizes) -> None:
        """Add what another one has counted."""
        if other.exact is not None:
            self._count(other.exact)
            return
        self._put_into_bins()
        self.zeros += other.zeros
        for number, count in other.bins.items():
            self.bins[number] = self.bins.get(number, 0) + count

    def median(self) -> float | None:
        """Return the median, between the two in the middle; None if nothing was counted."""
        found = dict(sorted(self._by_size().items()))
        total = sum(found.values())
        if not total:
            return None
        low, high = (total - 1) // 2, total // 2
        middle, passed = [], 0
        for size, count in found.items():
            middle += [size for place in (low, high) if passed <= place < passed + count]
            passed += count
        return sum(middle) / 2

    def _by_size(self) -> Mapping[float, int]:
        if self.exact is not None:
            return self.exact
        middles = {2 * _GAMMA**n / (_GAMMA + 1): count for n, count in self.bins.items()}
        return {0.0: self.zeros, **middles} if self.zeros else middles

    def _count(self, counts: Mapping[float, int]) -> None:
        if self.exact is None:
            self._bin(counts)
            return
        for size, count in counts.items():
            self.exact[size] = self.exact.get(size, 0) + count
        if len(self.exact) > MOST_SIZES:
            self._put_into_bins()

    def _put_into_bins(self) -> None:
        if self.exact is not None:
            exact, self.exact = self.exact, None
            self._bin(exact)

    def _bin(self, counts: Mapping[float, int]) -> None:
        for size, count in counts.items():
            if size == 0:
                self.zeros += count
            else:
                number = math.ceil(math.log(size) / _LOG_GAMMA)
                self.bins[number] = self.bins.get(number, 0) + count


@dataclass
class NumberSums:
    """Sums over pairs of numbers, of which both are there.

    first, second: sums of the numbers of either table
    absolute: the sum of the sizes of their differences; largest: the largest of these sizes
    """

    pairs: int = 0
    first: float = 0.0
    second: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    sizes: Sizes = field(default_factory=Sizes)

    def add(self, first: Array, second: Array) -> None:
        """Count pairs of numbers, which are finite."""
        if not len(first):
            return
        sizes = np.abs(second - first)
        self.pairs += len(first)
        self.first += math.fsum(first.tolist())
        self.second += math.fsum(second.tolist())
        self.absolute += math.fsum(sizes.tolist())
        self.largest = max(self.largest, float(sizes.max()))
        self.sizes.add(sizes)

    def merge(self, other: NumberSums) -> None:
        """Add what another one has counted."""
        self.pairs += other.pairs
        self.first += other.first
        self.second += other.second
        self.absolute += other.absolute
        self.largest = max(self.largest, other.largest)
        self.sizes.merge(other.sizes)
