"""Shards are also cut by the bytes of their rows, because collect reads these all at once."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.limits import MAX_SHARD_ROW_BYTES
from bedrock_spark.shards.cutter import Cutter
from bedrock_spark.shards.plan import Bounds, SourceSize, max_shared_bytes, plan_buckets

# An entry: the bytes of its line, 0 if it shares the record before it, and those of its row.
Entry = tuple[int, int]


def cut(bounds: Bounds, entries: list[Entry], width: int = 10**6) -> list[list[Entry]]:
    """Cut entries, which come in chunks of `width`; return the entries of each shard."""
    cutter: Cutter[list[Entry]] = Cutter(bounds)
    pieces = []
    for i in range(0, len(entries), width):
        chunk = entries[i : i + width]
        pieces += cutter.add(chunk, [line for line, _ in chunk], [row for _, row in chunk])
    pieces += cutter.finish()
    return [
        [entry for piece in group for entry in piece.chunk[piece.start : piece.stop]]
        for _, group in groupby(pieces, key=lambda piece: piece.cut)
    ]


def records_in(shard: list[Entry]) -> int:
    return sum(line > 0 for line, _ in shard)


def row_bytes_of(shard: list[Entry]) -> int:
    return sum(row for _, row in shard)


# Lines so short that their bytes never cut a shard.
RECORDS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), max_size=150)
SHARING = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100)), max_size=150)


def bounds_of(least: int, more: int, row_bytes: int) -> Bounds:
    return Bounds(2 * least + more, 10**9, least, row_bytes)


BOUNDS = st.builds(bounds_of, st.integers(1, 20), st.integers(0, 60), st.integers(1, 2000))


@given(RECORDS, BOUNDS, st.integers(1, 64))
def test_a_shard_keeps_the_bound_of_its_rows_or_is_small(
    entries: list[Entry], bounds: Bounds, width: int
) -> None:
    """Fewer than twice the minimum of records. The other bounds, the service's, hold as before."""
    shards = cut(bounds, entries, width)
    assert [entry for shard in shards for entry in shard] == entries
    for shard in shards:
        assert records_in(shard) <= bounds.max_records
        small = records_in(shard) < 2 * bounds.min_records
        assert row_bytes_of(shard) <= bounds.max_row_bytes or small
        assert records_in(shard) >= min(bounds.min_records, len(entries))


@given(SHARING, BOUNDS, st.integers(1, 64))
def test_rows_that_share_a_record_stay_in_its_shard(
    entries: list[Entry], bounds: Bounds, width: int
) -> None:
    """A shard never begins with the row of a record of the shard before, however large it is."""
    shards = cut(bounds, entries, width)
    assert [entry for shard in shards for entry in shard] == entries
    assert all(shard[0][0] > 0 for shard in shards[1:])


@given(SHARING, BOUNDS, st.integers(1, 64))
def test_the_size_of_batches_does_not_matter(
    entries: list[Entry], bounds: Bounds, width: int
) -> None:
    """Job tokens are made from the bytes of shards, and Spark's settings must not change them."""
    assert cut(bounds, entries, width) == cut(bounds, entries)


@st.composite
def grouped(draw: st.DrawFn) -> tuple[Bounds, list[list[Entry]]]:
    """Bounds, and the entries of each record: its own, and the rows that share it."""
    bounds = draw(BOUNDS)
    most = max_shared_bytes(bounds)
    groups: list[list[Entry]] = []
    for line, row, *sharing in draw(st.lists(st.lists(st.integers(1, 50), min_size=2))):
        groups.append([(line, row)])
        for other in sharing:
            if row_bytes_of(groups[-1]) + other > most:
                groups.append([(line, other)])
            else:
                groups[-1].append((0, other))
    return bounds, groups


@given(grouped(), st.integers(1, 64))
def test_rows_that_share_a_record_are_in_the_bound(
    case: tuple[Bounds, list[list[Entry]]], width: int
) -> None:
    """Up to the rows of one record. A small shard has no more than its records may have."""
    bounds, groups = case
    largest = max((row_bytes_of(group) for group in groups), default=0)
    for shard in cut(bounds, [entry for group in groups for entry in group], width):
        small = records_in(shard) < 2 * bounds.min_records
        assert row_bytes_of(shard) <= bounds.max_row_bytes + largest or small
        assert row_bytes_of(shard) <= max(
            bounds.max_row_bytes + largest, 2 * bounds.min_records * largest
        )


def test_records_that_may_not_be_cut_have_about_the_bound_of_rows() -> None:
    """A million rows of one body become records of 5 MB, of which a job takes 100 at least."""
    bounds = Bounds(50_000, 200_000_000, 100)
    assert max_shared_bytes(bounds) == 5_120_000
    assert bounds.min_records * max_shared_bytes(bounds) == bounds.max_row_bytes


@given(RECORDS, st.integers(1, 20), st.integers(0, 60))
def test_small_rows_change_no_cut(entries: list[Entry], least: int, more: int) -> None:
    """The same shards as without a bound of rows."""
    without_rows = [(line, 0) for line, _ in entries]
    shards = cut(bounds_of(least, more, 150 * 100), entries)
    assert [len(s) for s in shards] == [
        len(s) for s in cut(bounds_of(least, more, 1), without_rows)
    ]


def test_fifty_thousand_short_prompts_beside_large_columns() -> None:
    """100 kB beside each prompt: they were 5 GB in one task."""
    bounds = Bounds(50_000, 200_000_000, 100)
    entries = [(300, 100_000)] * 50_000
    shards = cut(bounds, entries, 5_000)
    assert len(shards) == 10
    assert max(row_bytes_of(shard) for shard in shards) <= MAX_SHARD_ROW_BYTES == 512_000_000


@pytest.mark.parametrize("row", [10_000, 100_000, 3_000_000])
@pytest.mark.parametrize("records", [20_000, 50_000, 400_000])
def test_buckets_are_planned_for_the_bytes_of_rows(records: int, row: int) -> None:
    """A bucket has ten shards at most. Their rows fill them, on average, by more than half."""
    bounds = Bounds(50_000, 200_000_000, 100)
    size = SourceSize(records, records * 300, records * 300**2, records * row, records * row**2)
    buckets = plan_buckets(size, bounds)
    fits = max(bounds.min_records, min(bounds.max_records, MAX_SHARD_ROW_BYTES // row))
    counts = np.random.default_rng(row).multinomial(records, np.full(buckets, 1 / buckets))
    shards = np.ceil(counts / fits)
    assert shards.max() <= 10
    assert shards.sum() == 1 or records / fits / shards.sum() > 0.5


@pytest.mark.parametrize("records", [1, 50_000, 50_001, 400_000, 10**8])
def test_small_rows_change_no_plan(records: int) -> None:
    """The same buckets as if rows had not been measured."""
    bounds = Bounds(50_000, 200_000_000, 100)
    lines = SourceSize(records, records * 3_000, records * 3_000**2)
    rows = SourceSize(*(records, records * 3_000, records * 3_000**2), records * 2_000, 0)
    assert plan_buckets(lines, bounds) == plan_buckets(rows, bounds)
