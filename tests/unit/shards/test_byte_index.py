"""The index of a shard: it leads to every record, and damaged bytes are no index."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.shards import index_builder
from bedrock_spark.shards.byte_index import (
    BLOCK_BYTES,
    DamagedIndexError,
    ShardIndex,
    merged,
    rank_of,
)
from bedrock_spark.shards.index_builder import IndexBuilder
from bedrock_spark.shards.record_ids import decode, encode, first_salt, salted_id

# Without the last hash of all: see the test of it.
HASHES = st.lists(st.integers(-(2**63), 2**63 - 2), min_size=1, max_size=60, unique=True)
SIZES = st.integers(min_value=1, max_value=3 * BLOCK_BYTES)


@st.composite
def shards(draw: st.DrawFn) -> tuple[list[str], list[int]]:
    """Return the ids and line sizes of a shard as prepare writes it: salted ones after their hash.

    An entry of size 0 is a row that shares the record before it.
    """
    ids, sizes = [], []
    buckets = draw(st.integers(1, 7))
    for row_hash in sorted(draw(HASHES)):
        ids.append(encode(row_hash))
        salts = range(draw(st.sampled_from([0, 0, 0, 1, 5])))
        ids += [salted_id(first_salt(row_hash, buckets) + s, 0, buckets) for s in salts]
    for _ in ids:
        sizes.append(draw(SIZES))
    for place in sorted(draw(st.sets(st.integers(1, len(ids)), max_size=3)), reverse=True):
        ids.insert(place, ids[place - 1])
        sizes.insert(place, 0)
    return ids, sizes


def built(ids: list[str], sizes: list[int], step: int) -> ShardIndex:
    """Build the index in pieces of `step` entries, and read it from its bytes."""
    builder = IndexBuilder()
    for start in range(0, len(ids), step):
        piece = np.array([i.encode() for i in ids[start : start + step]], "S11")
        builder.add(piece, np.array(sizes[start : start + step], np.int32))
    index = builder.finish()
    read = ShardIndex.from_bytes(index.to_bytes())
    for numbers in ("ranks", "bounds", "sums"):
        assert list(getattr(read, numbers)) == list(getattr(index, numbers))
    assert read.salted == index.salted
    return read


@given(shards(), st.integers(1, 50))
def test_the_block_of_every_record_holds_its_line(
    shard: tuple[list[str], list[int]], step: int
) -> None:
    """And a block has no more than it must: it ends with the record that reaches 4 kB."""
    ids, sizes = shard
    index = built(ids, sizes, step)
    at = 0
    for record_id, size in zip(ids, sizes, strict=True):
        if size:
            block = index.block_of(record_id)
            assert block is not None
            assert block[0] <= at
            assert at + size <= block[1]
            at += size
    assert index.bounds[-1] == at == sum(sizes)
    for start, stop in pairwise(index.bounds):
        assert stop > start
        assert stop - start < BLOCK_BYTES + max(sizes)


@given(shards(), st.integers(1, 50), st.data())
def test_a_block_is_left_out_if_all_its_records_are_known(
    shard: tuple[list[str], list[int]], step: int, data: st.DataObject
) -> None:
    """And only then: also ids of other shards count as known, and no block has them."""
    ids, sizes = shard
    index = built(ids, sizes, step)
    known = data.draw(st.one_of(st.just(set(ids)), st.sets(st.sampled_from(ids))))
    foreign = {encode(h) for h in data.draw(HASHES)} - set(ids) | {"R1", encode(2**64 + 5)}
    blocks, own = index.blocks_without(known | foreign)
    records = [(i, index.block_of(i)) for i, size in zip(ids, sizes, strict=True) if size]
    others = {block for record_id, block in records if record_id not in known}
    assert others <= set(blocks)
    assert own == {record_id for record_id, block in records if block not in blocks}
    # A block of known records alone is read if an id of another shard could be in it.
    may_hold_foreign = {index.block_of(i) for i in foreign - set(ids)}
    assert set(blocks) <= others | may_hold_foreign
    assert blocks == sorted(blocks)


@given(shards(), st.integers(1, 50), st.integers(1, 30))
def test_the_index_does_not_depend_on_the_pieces(
    shard: tuple[list[str], list[int]], step: int, gathered: int
) -> None:
    """Nor on how many records are gathered before they are added."""
    ids, sizes = shard
    whole = built(ids, sizes, len(ids))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_builder, "_GATHERED", gathered)
        assert built(ids, sizes, step).to_bytes() == whole.to_bytes()


def test_the_ranks_never_fall_behind_the_last_hash() -> None:
    """No rank comes after it, so its salted record has the same one: other records are found."""
    last = 2**63 - 1
    ids = [encode(5), encode(last), *(salted_id(first_salt(last, 1) + n, 0, 1) for n in range(2))]
    index = built(ids, [10, BLOCK_BYTES, 10, 10], 1)
    assert list(index.ranks) == [rank_of(5), 2**64 - 1]
    assert index.block_of(ids[0]) == (0, BLOCK_BYTES + 10)
    assert index.block_of(ids[2]) == index.block_of(ids[3]) == (BLOCK_BYTES + 10, BLOCK_BYTES + 30)


def test_an_id_that_no_record_can_have_is_in_no_block() -> None:
    """Another form, a hash before the first one, a salted id that the shard does not have."""
    index = built([encode(5), encode(9)], [10, 10], 2)
    assert index.block_of("T-1") is None
    assert index.block_of(encode(-1)) is None
    assert index.block_of(salted_id(0, 0, 1)) is None
    assert index.block_of(encode(7)) == (0, 20)


@given(st.integers(0, 62**11 - 1))
def test_decode_is_the_inverse_of_encode(number: int) -> None:
    assert decode(encode(number)) == number


@pytest.mark.parametrize("text", ["", "T-1", "0123456789-", "0123456789ab"])
def test_other_texts_are_no_numbers(text: str) -> None:
    assert decode(text) is None


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_ranks_are_in_the_order_of_signed_hashes(hashes: list[int]) -> None:
    """Spark sorts bigints, and an id is an unsigned number."""
    ranks = [rank_of(hash_ % 2**64) for hash_ in sorted(hashes)]
    assert ranks == sorted(ranks)


@given(st.data())
def test_damaged_bytes_are_no_index(data: st.DataObject) -> None:
    """Whatever byte is another one, and wherever they end."""
    ids = [encode(n) for n in range(50)]
    whole = built(ids, [1_000] * 50, 50).to_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    flipped = whole[:place] + bytes([whole[place] ^ other]) + whole[place + 1 :]
    for damaged in (flipped, whole[:place], whole + b"x"):
        with pytest.raises(DamagedIndexError, match="is not an index of a shard"):
            ShardIndex.from_bytes(damaged)


RANGES = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 80)).map(lambda r: (r[0], sum(r))))


@given(RANGES, st.integers(0, 60), st.integers(1, 200))
def test_reads_hold_every_range_whole_and_no_large_gap(
    ranges: list[tuple[int, int]], gap: int, most: int
) -> None:
    """Each range is in one read. What is read beside the ranges is in gaps of `max_gap` at most."""
    reads = merged(ranges, gap, most)
    assert all(any(a <= start and stop <= b for a, b in reads) for start, stop in ranges)
    assert len(reads) <= len(set(ranges))
    longest = max((stop - start for start, stop in ranges), default=0)
    for a, b in reads:
        assert b - a <= max(most, longest)
        inside = sorted(r for r in ranges if a <= r[0] and r[1] <= b)
        reached = a
        for start, stop in inside:
            assert start - reached <= gap
            reached = max(reached, stop)
        assert reached == b


def test_ranges_that_follow_each_other_become_reads_of_the_largest_size() -> None:
    """Nothing is read twice."""
    blocks = [(n, n + 10) for n in range(0, 100, 10)]
    assert merged(blocks, 0, 30) == [(0, 30), (30, 60), (60, 90), (90, 100)]
    assert merged([*blocks, *blocks], 0, 1_000) == [(0, 100)]
