"""Cutting: every record in exactly one shard, and every shard within its bounds."""

from __future__ import annotations

import math
import time
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedrock_spark.shards.cutter import Cutter, Piece
from bedrock_spark.shards.plan import Bounds, SourceSize, plan_buckets

Chunks = list[list[int]]


def cut(bounds: Bounds, chunks: Chunks) -> list[Piece[int]]:
    """Run chunks of record sizes through a cutter; a chunk is named by its number."""
    cutter: Cutter[int] = Cutter(bounds)
    pieces = [p for i, sizes in enumerate(chunks) for p in cutter.add(i, sizes)]
    return [*pieces, *cutter.finish()]


def shards(pieces: list[Piece[int]], chunks: Chunks) -> list[list[int]]:
    """Return the record sizes of every shard."""
    return [
        [size for p in group for size in chunks[p.chunk][p.start : p.stop]]
        for _, group in groupby(pieces, key=lambda p: p.cut)
    ]


@st.composite
def bounds_and_chunks(draw: st.DrawFn) -> tuple[Bounds, Chunks]:
    max_records = draw(st.integers(1, 12))
    bounds = Bounds(max_records, draw(st.integers(1, 40)), draw(st.integers(1, max_records)))
    size = st.integers(1, bounds.max_bytes)
    return bounds, draw(st.lists(st.lists(size, max_size=15), max_size=8))


@given(bounds_and_chunks())
def test_every_record_is_in_exactly_one_shard_and_in_order(case: tuple[Bounds, Chunks]) -> None:
    """No record is lost or written twice, and shards are numbered from 0 without gaps."""
    bounds, chunks = case
    pieces = cut(bounds, chunks)
    written = [(p.chunk, i) for p in pieces for i in range(p.start, p.stop)]
    assert written == [(c, i) for c, sizes in enumerate(chunks) for i in range(len(sizes))]
    assert all(p.size == sum(chunks[p.chunk][p.start : p.stop]) for p in pieces)
    cuts = [p.cut for p in pieces]
    assert cuts == sorted(cuts)
    assert set(cuts) == set(range(len(set(cuts))))


@given(bounds_and_chunks())
def test_no_shard_is_above_its_bounds(case: tuple[Bounds, Chunks]) -> None:
    """Neither in records nor in bytes: the service refuses a job with a larger file."""
    bounds, chunks = case
    for shard in shards(cut(bounds, chunks), chunks):
        assert len(shard) <= bounds.max_records
        assert sum(shard) <= bounds.max_bytes


@given(st.integers(1, 12), st.integers(0, 12), st.lists(st.integers(0, 20), max_size=8))
@example(3, 0, [1, 4, 1])
@example(5, 0, [10, 10, 1])
@example(10, 1, [10, 11, 1])
def test_no_shard_is_below_the_minimum(least: int, more: int, chunks: list[int]) -> None:
    """Unless the whole stream is: the service refuses a job that is too small.

    It holds if two shards of the minimum fit into one of the maximum, and the byte limit is never
    reached. With 3 to 4 records to a shard, 5 records cannot be split at all.
    """
    sizes = [[1] * n for n in chunks]
    cut_shards = shards(cut(Bounds(2 * least + more, 10**9, least), sizes), sizes)
    if sum(chunks) >= least:
        assert all(len(shard) >= least for shard in cut_shards)
    else:
        assert len(cut_shards) <= 1


@given(bounds_and_chunks())
def test_a_shard_ends_when_the_next_record_does_not_fit(case: tuple[Bounds, Chunks]) -> None:
    """This is next-fit. The exception is the last cut, which leaves the last shard its minimum."""
    bounds, chunks = case
    cut_shards = shards(cut(bounds, chunks), chunks)
    for shard, following in list(pairwise(cut_shards))[:-1]:
        full = len(shard) == bounds.max_records
        assert full or sum(shard) + following[0] > bounds.max_bytes


@given(bounds_and_chunks())
def test_little_is_held_back(case: tuple[Bounds, Chunks]) -> None:
    """At most min_records records and max_bytes bytes, so a task's memory is bounded."""
    bounds, chunks = case
    cutter: Cutter[int] = Cutter(bounds)
    added = written = added_bytes = written_bytes = 0
    for i, sizes in enumerate(chunks):
        pieces = list(cutter.add(i, sizes))
        added, added_bytes = added + len(sizes), added_bytes + sum(sizes)
        written += sum(p.stop - p.start for p in pieces)
        written_bytes += sum(p.size for p in pieces)
        assert added - written <= bounds.min_records
        assert added_bytes - written_bytes <= bounds.max_bytes


@given(bounds_and_chunks(), st.integers(1, 20))
def test_the_size_of_batches_does_not_matter(case: tuple[Bounds, Chunks], width: int) -> None:
    """Batches depend on Spark's settings. Shards must not: job tokens are made from their bytes."""
    bounds, chunks = case
    sizes = [size for chunk in chunks for size in chunk]
    others = [sizes[i : i + width] for i in range(0, len(sizes), width)]
    assert shards(cut(bounds, chunks), chunks) == shards(cut(bounds, others), others)


def test_an_empty_stream_makes_no_shard() -> None:
    """Not even an empty shard: Bedrock refuses an empty file."""
    assert cut(Bounds(10, 10, 1), []) == cut(Bounds(10, 10, 1), [[], []]) == []


# The largest line of the property below; two shards of the minimum fit into one of the maximum.
LARGEST = 200


@st.composite
def realistic_sizes(draw: st.DrawFn) -> list[int]:
    """Sizes as real sources have them: all equal, heavy-tailed, or sorted by size."""
    records = draw(st.integers(0, 300))
    if draw(st.booleans()):
        return [draw(st.integers(1, LARGEST))] * records
    uniform = draw(st.randoms(use_true_random=False))
    # A Pareto tail: one line in a hundred is at least a hundred times as long as the shortest.
    sizes = [max(1, int(min(LARGEST, uniform.paretovariate(1)))) for _ in range(records)]
    order = draw(st.sampled_from(["as it is", "short first", "long first"]))
    return sizes if order == "as it is" else sorted(sizes, reverse=order == "long first")


@given(realistic_sizes(), st.integers(1, 20), st.integers(0, 60), st.integers(1, 64))
@example([LARGEST] * 41, 20, 0, 1)
@example([1] * 300 + [LARGEST] * 3, 20, 60, 64)
def test_all_three_bounds_hold_at_once(sizes: list[int], least: int, more: int, width: int) -> None:
    """If twice the minimum fits by records and by bytes, every shard keeps all bounds.

    For any sizes in any order. Only a stream below the minimum makes a shard below it.
    """
    bounds = Bounds(2 * least + more, 2 * least * LARGEST, least)
    chunks = [sizes[i : i + width] for i in range(0, len(sizes), width)]
    cut_shards = shards(cut(bounds, chunks), chunks)
    assert all(len(shard) <= bounds.max_records for shard in cut_shards)
    assert all(sum(shard) <= bounds.max_bytes for shard in cut_shards)
    if len(sizes) >= least:
        assert all(len(shard) >= least for shard in cut_shards)
    else:
        assert len(cut_shards) <= 1


@pytest.mark.parametrize("lines", ["constant", "heavy-tailed"])
@pytest.mark.parametrize("max_records", [20, 200])
def test_a_bucket_has_room_for_the_minimum(lines: str, max_records: int) -> None:
    """No bucket gets fewer records than the minimum, even if that is half of the maximum."""
    random = np.random.default_rng(max_records)
    bounds = Bounds(max_records, max_records * 400, max_records // 2)
    for records in range(max_records, 12 * max_records, max_records // 4):
        sizes = np.full(records, 400)
        if lines == "heavy-tailed":
            sizes = np.minimum(400 * random.pareto(1.5, records) + 40, 4000).astype(int)
        buckets = plan_buckets(SourceSize(records, int(sizes.sum())), bounds)
        bucket_records = np.bincount(random.integers(0, buckets, records), minlength=buckets)
        assert bucket_records.min() >= bounds.min_records


SIZES = st.builds(
    lambda records, line: SourceSize(records, records * line),
    st.integers(0, 10**12),
    st.integers(1, 10**6),
)
BOUNDS = st.builds(
    lambda most, size, least: Bounds(most, size, min(most, least)),
    st.integers(1, 100_000),
    st.integers(10**6, 10**9),
    st.integers(1, 1000),
)


@given(SIZES, BOUNDS)
def test_the_number_of_buckets_is_within_reason(size: SourceSize, bounds: Bounds) -> None:
    """At least one, never more than records, and each has room for the minimum."""
    buckets = plan_buckets(size, bounds)
    assert 1 <= buckets <= max(1, size.records)
    assert buckets == plan_buckets(size, bounds)
    if buckets > 1:
        assert size.records / buckets >= bounds.min_records


@given(SIZES, BOUNDS)
@example(SourceSize(1000, 10**6), Bounds(1000, 10**6, 1))
@example(SourceSize(10, 10**6), Bounds(1000, 10**6, 1))
@example(SourceSize(1000, 10), Bounds(1000, 10**6, 1))
def test_one_shard_is_one_bucket(size: SourceSize, bounds: Bounds) -> None:
    """A source that fits into one shard is not split."""
    if size.records <= bounds.max_records and size.line_bytes <= bounds.max_bytes:
        assert plan_buckets(size, bounds) == 1


@given(st.integers(1, 10**9), st.integers(1, 10_000))
def test_a_bucket_stays_in_its_planned_number_of_shards(records: int, line: int) -> None:
    """A bucket four standard deviations above the mean has ten shards at most."""
    bounds = Bounds(50_000, 200_000_000, 100)
    buckets = plan_buckets(SourceSize(records, records * line), bounds)
    if buckets > 1:
        mean = records / buckets
        largest = mean + 4 * math.sqrt(mean)
        assert largest <= 10 * bounds.max_records * 1.001
        assert largest * line <= 10 * bounds.max_bytes * 1.001


@given(st.integers(50_001, 10**8), st.floats(1.5, 20))
def test_more_data_has_at_least_half_as_many_buckets(records: int, times: float) -> None:
    """Half, because two shards to a bucket may be fuller. Runs of 1,000 buckets are exempt."""
    bounds = Bounds(50_000, 200_000_000, 100)
    few = plan_buckets(SourceSize(records, records), bounds)
    more = int(records * times)
    many = plan_buckets(SourceSize(more, more), bounds)
    assert 2 * many >= few or few >= 1000


@pytest.mark.parametrize(
    ("records", "line", "buckets"),
    [(0, 0, 1), (1, 10, 1), (50_000, 100, 1), (50_001, 100, 2), (400_000, 100, 9)],
)
def test_examples(records: int, line: int, buckets: int) -> None:
    """No record, one, exactly one shard, one record more, and eight full shards."""
    size = SourceSize(records, records * line)
    assert plan_buckets(size, Bounds(50_000, 200_000_000, 100)) == buckets


def test_a_plan_for_few_shards_has_full_ones() -> None:
    """Six shards of at most 1,000 hold 5,999 records only if two buckets have three each.

    What one bucket would be cut into is certain: it has all records.
    """
    assert plan_buckets(SourceSize(5_999, 5_999), Bounds(1_000, 10**6, 100)) == 2


def test_the_measured_unevenness_of_lines_counts() -> None:
    """The longer the longest lines, the more shards to a bucket. Unmeasured, they are uneven."""
    records, line = 100_000, 10_000

    def plan(unevenness: int) -> int:
        size = SourceSize(records, records * line, unevenness * records * line**2)
        return plan_buckets(size, Bounds(50_000, 10**7, 10))

    assert plan(1) > plan(2) > plan(10) > plan(30)
    assert plan(1) > plan(0) > plan(30)


@pytest.mark.parametrize(
    "bounds", [Bounds(50_000, 200_000_000, 100), Bounds(1, 1_000, 1), Bounds(100, 10**9, 100)]
)
def test_planning_ends_quickly_for_any_size(bounds: Bounds) -> None:
    """Ten trillion rows, and bounds that do not fit the lines."""
    began = time.perf_counter()
    for records in (10**9, 10**11, 10**13):
        assert plan_buckets(SourceSize(records, records * 500), bounds) >= 1
    assert time.perf_counter() - began < 1
