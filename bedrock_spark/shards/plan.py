"""Plan the number of buckets: the partitions by hash in which the records of a run are cut.

A record's bucket is a hash of its id modulo the number of buckets. One task cuts one bucket into
shards by next-fit bin packing (https://en.wikipedia.org/wiki/Next-fit_bin_packing, cutter.py), so
buckets are the parallelism of prepare, and only the last shard of a bucket is short.

The plan minimises the expected number of shards, because each costs a batch job. If a shard holds
many records, hashing fills buckets evenly and one full shard to a bucket is best. If it holds few
large records, bucket sizes vary too much for that, and several shards to a bucket are fuller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bedrock_spark.limits import MAX_SHARD_ROW_BYTES

# A bucket has about this many shards at most: one task cuts them all, one after the other.
_MAX_CUTS = 10
# More buckets than this are planned only for huge runs: a shuffle moves one block per map task and
# bucket. A huge run has at least _HUGE_RUN_CUTS shards to a bucket instead.
_MANY_BUCKETS, _HUGE_RUN_CUTS = 2048, 8
# Candidates end at this many times as many buckets as the data would fill shards. One shard to a
# bucket is then 1 / 1.6 = 62 % full on average, and plans with emptier shards are not compared.
_MOST_EMPTY = 1.6
# The standard deviations on either side of the mean that are counted with. A normal distribution
# is beyond 4 on one side with a probability of 3e-5.
_DEVIATIONS = 4.0
# A plan with up to this many times the fewest shards is accepted for the sake of more parallelism.
# Small runs need it more: up to _FEW shards in all, one shard more than the fewest is accepted.
_TOLERANCE, _FEW = 1.03, 10
# About as many candidates are compared, evenly spaced: planning takes milliseconds for any size.
_CANDIDATES = 1000
# The average line is rounded up to a power of 1.04, its unevenness to a power of 2. So a good
# estimate of the size nearly always gives the same plan as the exact figures.
_LINE_STEP, _UNEVENNESS_STEP = 1.04, 2
# The mean square of line lengths over the square of their mean, if it was not measured: 2 is that
# of an exponential distribution, whose standard deviation is its mean.
_DEFAULT_UNEVENNESS = 2


@dataclass(frozen=True)
class SourceSize:
    """The size of a source: its records, the bytes of their JSON lines and of their rows in memory.

    squares, row_squares: the sum over all lines, or rows, of bytes squared; 0 if not measured
    """

    records: int
    line_bytes: int
    squares: int = 0
    row_bytes: int = 0
    row_squares: int = 0


@dataclass(frozen=True)
class Bounds:
    """The bounds of a shard: at most records and bytes, at least records; at most bytes of rows."""

    max_records: int
    max_bytes: int
    min_records: int
    max_row_bytes: int = MAX_SHARD_ROW_BYTES
    max_files: int = 1

    @property
    def of_file(self) -> Bounds:
        """Return the bounds of a file, of which a shard has at most `max_files`.

        Also a file has at least records, because it may be the only one of its shard.
        """
        return replace(
            self,
            max_records=self.max_records // self.max_files,
            max_bytes=self.max_bytes // self.max_files,
            max_row_bytes=self.max_row_bytes // self.max_files,
            max_files=1,
        )


def max_shared_bytes(bounds: Bounds) -> int:
    """Return the most bytes that the rows of one record may have, if they are more than one.

    So `min_records` records and their rows, which no bound of rows cuts, have about
    `max_row_bytes`.
    """
    return bounds.max_row_bytes // bounds.min_records


def plan_buckets(size: SourceSize, bounds: Bounds) -> int:
    """Return the number of buckets that makes few shards, with few to a bucket.

    It depends on the data and the bounds, never on the cluster or on how the source is stored.

    Among the candidates whose expected number of shards is within the tolerance, it is the one with
    the fewest shards to a bucket, then with the fewest shards, then with the most buckets.
    """
    if (
        size.records <= bounds.max_records
        and size.line_bytes <= bounds.max_bytes
        and size.row_bytes <= bounds.max_row_bytes
    ):
        return 1
    load = _Load.of(size)
    full_shards = max(
        load.records / bounds.max_records,
        load.records * load.lines.mean / bounds.max_bytes,
        load.records * load.rows.mean / load.max_row_bytes(bounds),
    )
    lowest = math.ceil(full_shards / _MAX_CUTS)
    highest = min(
        math.ceil(full_shards * _MOST_EMPTY) + 1,
        max(_MANY_BUCKETS, math.ceil(full_shards / _HUGE_RUN_CUTS)),
    )
    # Also a bucket that came out small must hold min_records. A bucket's records are about Poisson
    # distributed: mean m, standard deviation sqrt(m). For min_records = 100 the mean is at least
    # 140, so 100 is 3.4 standard deviations below it.
    least_mean = bounds.min_records + _DEVIATIONS * math.sqrt(bounds.min_records)
    most_buckets = max(1, int(size.records / least_mean))
    lowest, highest = min(lowest, most_buckets), min(highest, most_buckets)
    candidates = range(lowest, highest + 1, max(1, (highest - lowest) // _CANDIDATES))
    shards = {n: n * load.cuts(n, bounds) for n in candidates}
    fewest = min(shards.values())
    accepted = max(fewest * _TOLERANCE, min(fewest + 1, _FEW))
    tolerable = (n for n in candidates if shards[n] <= accepted)
    return min(tolerable, key=lambda n: (round(shards[n] / n), shards[n], -n))


@dataclass(frozen=True)
class _Sizes:
    """The sizes of lines, or of rows.

    mean: the mean bytes of one, E[L]; mean_square: the mean of their squares, E[L^2]
    """

    mean: float
    mean_square: float

    @classmethod
    def of(cls, records: int, total: int, squares: int) -> _Sizes:
        if not records:
            return cls(0.0, 0.0)
        mean = _round_up_to_power(total / records, _LINE_STEP)
        squared = squares or _DEFAULT_UNEVENNESS * records * mean**2
        # E[L^2] / E[L]^2: 1 if all lines are equal.
        unevenness = squared * records / max(1, total) ** 2
        return cls(mean, _round_up_to_power(unevenness, _UNEVENNESS_STEP) * mean**2)

    def cuts(self, records: float, limit: float) -> tuple[float, float]:
        """Return how many shards a bucket of `records` records fills: mean, standard deviation.

        limit: the most bytes of a shard
        """
        # The line that does not fit leaves the rest of its shard unused. A byte limit meets long
        # lines more often than short ones, so the rest is E[L^2] / (2 E[L]) bytes on average: the
        # residual time of renewal theory (https://en.wikipedia.org/wiki/Residual_time).
        unused = self.mean_square / self.mean / 2 if self.mean else 0.0
        usable = max(limit - unused, limit / 2)
        return records * self.mean / usable, math.sqrt(records * self.mean_square) / usable


@dataclass(frozen=True)
class _Load:
    """The records to spread over buckets, and the sizes of their lines and of their rows."""

    records: int
    lines: _Sizes
    rows: _Sizes

    @classmethod
    def of(cls, size: SourceSize) -> _Load:
        lines = _Sizes.of(size.records, size.line_bytes, size.squares)
        return cls(size.records, lines, _Sizes.of(size.records, size.row_bytes, size.row_squares))

    def max_row_bytes(self, bounds: Bounds) -> float:
        """Return the bound of a shard's rows: a shard is not cut below `min_records` for it."""
        return max(bounds.max_row_bytes, bounds.min_records * self.rows.mean)

    def cuts(self, buckets: int, bounds: Bounds) -> float:
        """Return the expected number of shards that a bucket is cut into.

        A bucket's records are about Poisson distributed with mean m = records / buckets and
        variance m. So its bytes are compound Poisson, with mean m * E[L] and variance m * E[L^2]
        (https://en.wikipedia.org/wiki/Compound_Poisson_distribution). Both are near normal. The
        bound that asks for more shards decides.
        """
        mean = self.records / buckets
        by_records = mean / bounds.max_records, math.sqrt(mean) / bounds.max_records
        by_bytes = self.lines.cuts(mean, bounds.max_bytes)
        by_rows = self.rows.cuts(mean, self.max_row_bytes(bounds))
        shards, deviation = max(by_records, by_bytes, by_rows)
        # One bucket gets all records: nothing varies.
        return _mean_of_ceiling(shards, deviation if buckets > 1 else 0.0)


def _mean_of_ceiling(mean: float, deviation: float) -> float:
    """Return E[ceil(X)], at least 1, for a normal X with this mean and standard deviation.

    For X > 0 it is the sum of P(X > k) over k = 0, 1, 2, ..., with
    P(X > k) = erfc((k - mean) / (deviation * sqrt(2))) / 2. The terms more than 4 deviations below
    the mean are 1, those more than 4 above are 0.

    Rounded to 6 places, so that every machine's mathematics library leads to the same plan.
    """
    if deviation * _DEVIATIONS < 1e-9:
        return float(max(1, math.ceil(mean)))
    certain = max(0, math.floor(mean - _DEVIATIONS * deviation))
    uncertain = range(certain, math.ceil(mean + _DEVIATIONS * deviation) + 1)
    above = (math.erfc((k - mean) / deviation / math.sqrt(2)) / 2 for k in uncertain)
    return max(1.0, round(certain + sum(above), 6))


def _round_up_to_power(value: float, base: float) -> float:
    """Return the smallest power of `base`, which is above 1, that is at least `value`."""
    return float(base ** math.ceil(math.log(value, base))) if value > 0 else 0.0
