"""How many buckets the records of a run are dealt into.

Records are dealt into buckets by a hash of their id; one task cuts one bucket into shards. Where
hashing spreads them evenly enough, a bucket is one full shard. Where it does not (few large records
to a shard), several cuts to a bucket are fuller: only the last cut of a bucket is short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# A bucket holds at most about this many shards, so that no task has too much to do.
_MOST_CUTS = 10
# Beyond this many buckets a shuffle suffers, and several shards to a bucket are better.
_MANY_BUCKETS = 2048
# Hashing spreads records unevenly: this many standard deviations of room keep a bucket in its
# planned number of shards.
_SPREAD = 4.0
# This many times the fewest shards possible is as good, if more buckets can be cut side by side;
# up to so many shards, one more is.
_PARALLEL, _FEW = 1.03, 10
# So many numbers of buckets are looked at, at most about.
_CANDIDATES = 1000
# The average line is rounded up to a power of this. So a good guess at it gives the same plan as
# the exact figure, nearly always.
_STEP = 1.04


@dataclass(frozen=True)
class SourceSize:
    """How much there is: records, the bytes of their JSON lines, and the sum of their squares.

    Without squares, lines are taken to differ as sizes in nature do.
    """

    records: int
    line_bytes: int
    squares: int = 0


@dataclass(frozen=True)
class Bounds:
    """What a shard may be."""

    max_records: int
    max_bytes: int
    min_records: int


def plan_buckets(size: SourceSize, bounds: Bounds) -> int:
    """Return the number of buckets that makes few shards, with few to a bucket.

    It depends on the data and the bounds, never on the cluster or on how the source is stored.
    """
    if size.records <= bounds.max_records and size.line_bytes <= bounds.max_bytes:
        return 1
    load = _Load.of(size)
    full = max(load.records / bounds.max_records, load.line_bytes / bounds.max_bytes)
    lowest = math.ceil(full / _MOST_CUTS)
    highest = min(math.ceil(full * 1.6) + 1, max(_MANY_BUCKETS, math.ceil(full / 8)))
    # A bucket must hold min_records even where it came out small.
    room = bounds.min_records + _SPREAD * math.sqrt(bounds.min_records)
    most = max(1, int(size.records / room))
    lowest, highest = min(lowest, most), min(highest, most)
    numbers = range(lowest, highest + 1, max(1, (highest - lowest) // _CANDIDATES))
    shards = {n: n * load.cuts(n, bounds) for n in numbers}
    fewest = min(shards.values())
    enough = max(fewest * _PARALLEL, min(fewest + 1, _FEW))
    few = (n for n in numbers if shards[n] <= enough)
    return min(few, key=lambda n: (round(shards[n] / n), shards[n], -n))


@dataclass(frozen=True)
class _Load:
    """What is to be spread over buckets: records, and lines of this mean and mean square."""

    records: int
    mean: float
    mean_square: float

    @classmethod
    def of(cls, size: SourceSize) -> _Load:
        if not size.records:
            return cls(0, 0.0, 0.0)
        mean = _rounded_up(size.line_bytes / size.records, _STEP)
        squares = size.squares or 2 * size.records * mean**2
        unevenness = _rounded_up(squares * size.records / max(1, size.line_bytes) ** 2, 2)
        return cls(size.records, mean, unevenness * mean**2)

    @property
    def line_bytes(self) -> float:
        return self.records * self.mean

    def cuts(self, buckets: int, bounds: Bounds) -> float:
        """Return how many shards a bucket is cut into, on average over how hashing spreads."""
        mean = self.records / buckets
        by_records = mean / bounds.max_records, math.sqrt(mean) / bounds.max_records
        # A cut comes before the line that would be too much: its bytes stay unused.
        unused = self.mean_square / self.mean / 2 if self.mean else 0.0
        usable = max(bounds.max_bytes - unused, bounds.max_bytes / 2)
        by_bytes = mean * self.mean / usable, math.sqrt(mean * self.mean_square) / usable
        shards, spread = max(by_records, by_bytes)
        return _average_ceiling(shards, spread if buckets > 1 else 0.0)


def _average_ceiling(mean: float, spread: float) -> float:
    """Return the average of a normal distribution's values, each rounded up to a whole number.

    Rounded itself, so that every machine's mathematics library leads to the same plan.
    """
    if spread * _SPREAD < 1e-9:
        return float(max(1, math.ceil(mean)))
    certain = max(0, math.floor(mean - _SPREAD * spread))
    possible = range(certain, math.ceil(mean + _SPREAD * spread) + 1)
    above = (math.erfc((k - mean) / spread / math.sqrt(2)) / 2 for k in possible)
    return max(1.0, round(certain + sum(above), 6))


def _rounded_up(value: float, step: float) -> float:
    """Return the next power of `step`, which is above 1."""
    return float(step ** math.ceil(math.log(value, step))) if value > 0 else 0.0
