"""Shards by id and by place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.fanout.placed_shards import PlacedShards
from bedrock_spark.run_folder.manifest import Shard

IDS = st.lists(st.integers(0, 9), unique=True, max_size=6)


@given(IDS, st.lists(st.integers(0, 9), max_size=12))
def test_places_are_those_that_a_look_up_finds(own: list[int], asked: list[int]) -> None:
    """In any order, more than once, and of ids that are no shards: also after the last one."""
    made = [Shard(f"shard-{n}", n, 0, "") for n in own]
    shards, names = PlacedShards(made), [f"shard-{n}" for n in (*own, *asked)]
    expected = [own.index(n) if n in own else None for n in (*own, *asked)]
    assert list(shards.places(iter(names))) == expected == [shards.find(name) for name in names]
    assert dict(shards) == {shard.shard_id: shard for shard in made}
    assert shards.in_order() == made


def test_an_unknown_shard_has_no_place() -> None:
    """Whoever asks for it by mistake gets an error."""
    shards = PlacedShards([Shard("a", 1, 0, "")])
    assert "b" not in shards
    with pytest.raises(KeyError):
        shards.place("b")
    with pytest.raises(KeyError):
        shards["b"]
