"""How full shards are: simulated runs, put into buckets by a random hash and cut, without Spark."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from bedrock_spark.shards.cutter import Cutter
from bedrock_spark.shards.plan import Bounds, SourceSize, plan_buckets

Sizes = npt.NDArray[np.int64]
LEAST_FILL = 0.85
# The rule holds for runs of more shards than this.
FEW_SHARDS = 10

# Runs of 9 to 123 full shards, in small steps: the last shard of a bucket is sometimes nearly full,
# sometimes nearly empty.
FULL_SHARDS = (*np.arange(9.1, 33.0, 0.4), 41.5, 61.5, 80.2, 123.4)


@dataclass(frozen=True)
class Filled:
    """The shards of one simulated run: records and bytes of each."""

    records: Sizes
    bytes: Sizes

    def fill(self, bounds: Bounds) -> float:
        """Return how full the average shard is: by records or by bytes, whichever is more."""
        fuller = np.maximum(self.records / bounds.max_records, self.bytes / bounds.max_bytes)
        return float(fuller.mean())


def simulate(sizes: Sizes, bounds: Bounds, seed: int) -> Filled:
    """Put records of these sizes into the planned buckets at random, and cut every bucket."""
    size = SourceSize(len(sizes), int(sizes.sum()), int((sizes * sizes).sum()))
    buckets = plan_buckets(size, bounds)
    record_buckets = np.random.default_rng([seed, 1]).integers(0, buckets, len(sizes))
    order = np.argsort(record_buckets, kind="stable")
    ends = np.searchsorted(record_buckets[order], np.arange(1, buckets))
    shards = [s for bucket in np.split(sizes[order], ends) for s in cut(bucket, bounds)]
    return Filled(np.array([len(s) for s in shards]), np.array([int(s.sum()) for s in shards]))


def cut(bucket: Sizes, bounds: Bounds) -> Iterator[Sizes]:
    """Cut one bucket; yield the sizes in each shard."""
    cutter: Cutter[int] = Cutter(bounds)
    pieces = [*cutter.add(0, bucket.tolist()), *cutter.finish()]
    for number in sorted({p.cut for p in pieces}):
        yield np.concatenate([bucket[p.start : p.stop] for p in pieces if p.cut == number])


def constant(records: int, rng: np.random.Generator) -> Sizes:
    return np.full(records, 400)


def prose(records: int, rng: np.random.Generator) -> Sizes:
    """Lengths of texts: log-normal, the longest about thirty times the median."""
    return np.maximum(60, rng.lognormal(5.7, 0.8, records)).astype(np.int64)


def two_kinds(records: int, rng: np.random.Generator) -> Sizes:
    """Short and long lines, so that both bounds are nearly reached."""
    return rng.choice(np.array([100, 700]), records)


# Name, sizes, bounds: an average line is 400 bytes long, so 1,000 records are 400,000 bytes.
CASES: dict[str, tuple[Callable[[int, np.random.Generator], Sizes], Bounds]] = {
    "count-bound": (constant, Bounds(1_000, 10**9, 100)),
    "count-bound, small shards": (constant, Bounds(200, 10**9, 50)),
    "byte-bound, constant": (constant, Bounds(10**6, 400_000, 100)),
    "byte-bound, prose": (prose, Bounds(10**6, 400_000, 100)),
    "mixed, constant": (constant, Bounds(1_000, 400_000, 100)),
    "mixed, prose": (prose, Bounds(1_000, 400_000, 100)),
    "mixed, two kinds": (two_kinds, Bounds(1_000, 400_000, 100)),
}


@functools.cache
def runs_of(name: str) -> list[Filled]:
    """Simulate a case at every size of run."""
    draw, bounds = CASES[name]
    full_shard = min(1000, bounds.max_records)
    return [
        simulate(draw(int(full * full_shard), np.random.default_rng(seed)), bounds, seed)
        for seed, full in enumerate(FULL_SHARDS)
    ]


@pytest.mark.parametrize("name", CASES)
def test_no_shard_of_any_run_breaks_a_bound(name: str) -> None:
    """A run of any size keeps all three bounds."""
    bounds = CASES[name][1]
    for run in runs_of(name):
        assert run.records.max() <= bounds.max_records
        assert run.bytes.max() <= bounds.max_bytes
        assert run.records.min() >= bounds.min_records


@pytest.mark.parametrize("name", CASES)
def test_shards_of_larger_runs_are_full(name: str) -> None:
    """Of more than ten shards the average is 85 % full, of records or of bytes.

    Every shard costs a job slot and a place in a queue.
    """
    low = [
        f"{run.records.sum()} records in {len(run.records)} shards: {fill:.2f}"
        for run in runs_of(name)
        if (fill := run.fill(CASES[name][1])) < LEAST_FILL and len(run.records) > FEW_SHARDS
    ]
    assert not low, f"{len(low)} of {len(FULL_SHARDS)} runs: " + "; ".join(low)


@pytest.mark.parametrize("line", [400, 4_000, 8_000])
def test_shards_of_the_default_size_are_full(line: int) -> None:
    """With the default bounds the average of more than ten shards is 85 % full.

    Lines are constant, limited by records or by bytes: a bucket of n records makes n / capacity
    shards, rounded up.
    """
    bounds = Bounds(50_000, 200_000_000, 100)
    capacity = min(bounds.max_records, bounds.max_bytes // line)
    random = np.random.default_rng(line)
    low = []
    for full in (*np.arange(10.1, 120, 0.7), 499.3, 1_000.2, 4_321.1, 20_000.5):
        records = int(full * capacity)
        size = SourceSize(records, records * line, records * line**2)
        buckets = plan_buckets(size, bounds)
        bucket_records = random.multinomial(records, np.full(buckets, 1 / buckets))
        fill = full / np.ceil(bucket_records / capacity).sum()
        if fill < LEAST_FILL:
            low.append(f"{records} records in {buckets} buckets: {fill:.2f}")
    assert not low


@pytest.mark.parametrize("name", CASES)
def test_a_run_of_up_to_ten_shards_wastes_few(name: str) -> None:
    """A small run has one shard to a bucket, for parallelism: at most twice the shards it needs."""
    draw, bounds = CASES[name]
    full_shard = min(1000, bounds.max_records)
    for seed, full in enumerate(np.arange(1.05, 8.0, 0.35)):
        sizes = draw(int(full * full_shard), np.random.default_rng(seed))
        needed = max(len(sizes) / bounds.max_records, sizes.sum() / bounds.max_bytes)
        assert len(simulate(sizes, bounds, seed).records) <= 2 * np.ceil(needed)
