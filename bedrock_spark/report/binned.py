"""Numbers over time, in bins of equal width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Widths of bins that a person can read, in seconds.
_STEPS = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600),
    *(2 * 3_600, 4 * 3_600, 6 * 3_600, 12 * 3_600, 86_400),
)


@dataclass(frozen=True)
class Bins:
    """Bins of equal width. begins: of the first, in seconds since the epoch; step: in seconds."""

    begins: float
    step: int
    count: int

    @classmethod
    def covering(cls, begins: float, ends: float, step: int) -> Bins:
        """Return bins that begin at a multiple of their width."""
        first = begins // step * step
        return cls(first, step, max(1, math.ceil((ends - first) / step)))

    def index(self, moment: float) -> int:
        """Return the bin of a time."""
        return min(self.count - 1, max(0, int((moment - self.begins) // self.step)))

    def sums(self, amounts: Iterable[tuple[float, float, float]]) -> list[int]:
        """Return the sum of amounts in each bin; each is spread evenly from a time to a time.

        Takes a constant time for each amount. The rounded sums add up to the rounded total.
        """
        single = [0.0] * self.count
        # By how much the rate per bin changes where a bin begins.
        change = [0.0] * (self.count + 1)
        for begins, ends, amount in amounts:
            first, last = self.index(begins), self.index(ends)
            if first == last:
                single[first] += amount
                continue
            rate = amount / (ends - begins)
            head = rate * (self.begins + (first + 1) * self.step - begins)
            tail = rate * (ends - self.begins - last * self.step)
            single[first] += head
            single[last] += tail
            change[first + 1] += rate * self.step
            change[last] -= rate * self.step
        sums, rate, total, shown = [], 0.0, 0.0, 0
        for own, by in zip(single, change, strict=False):
            rate += by
            total += own + rate
            sums.append(round(total) - shown)
            shown += sums[-1]
        return sums

    def peaks(self, spans: Iterable[tuple[float, float]]) -> list[int]:
        """Return the largest number of spans at one time in each bin."""
        changes = []
        for begins, ends in spans:
            changes += [(begins, 1), (ends, -1)]
        changes.sort()  # what ends when another begins has freed its place
        peaks, active, at = [0] * self.count, 0, 0
        for moment, by in changes:
            place = self.index(moment)
            for between in range(at + 1, place + 1):
                peaks[between] = max(peaks[between], active)
            at = place
            active += by
            peaks[place] = max(peaks[place], active)
        return peaks


def step_for(seconds: float, most: int) -> int:
    """Return a width of bins of which at most `most` cover this time."""
    for step in _STEPS:
        if seconds / step <= most - 1:
            return step
    return math.ceil(seconds / (most - 1) / 86_400) * 86_400
