"""Dealing stragglers out: all of them, once, and equally."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.fallback.parts import Part, split_into_parts

COUNTS = st.dictionaries(
    st.integers(0, 30).map(lambda n: f"shard-{n:05d}-00"), st.integers(0, 500), max_size=20
)


def asked(dealt: list[tuple[Part, ...]]) -> list[tuple[str, int]]:
    return [(p.shard_id, i) for own in dealt for p in own for i in range(p.start, p.stop)]


@given(COUNTS, st.integers(1, 16))
def test_each_is_dealt_once(counts: dict[str, int], tasks: int) -> None:
    """Whatever the shards and the tasks."""
    found = asked(split_into_parts(counts, tasks))
    assert sorted(found) == sorted((s, i) for s, n in counts.items() for i in range(n))


@given(COUNTS, st.integers(1, 16))
def test_no_task_has_twice_its_share(counts: dict[str, int], tasks: int) -> None:
    """One shard with all of them keeps all tasks busy, too."""
    dealt = split_into_parts(counts, tasks)
    share = -(-sum(counts.values()) // tasks)
    assert len(dealt) <= tasks
    assert all(sum(part.records for part in own) < 2 * share or share == 1 for own in dealt)


@given(COUNTS, st.integers(1, 16), st.integers(0, 600))
def test_no_more_are_dealt_than_may_be(counts: dict[str, int], tasks: int, most: int) -> None:
    """As many as money does for: the first ones."""
    found = asked(split_into_parts(counts, tasks, most))
    everyone = sorted((s, i) for s, n in counts.items() for i in range(n))
    assert sorted(found) == everyone[:most]


def test_a_large_shard_is_split_and_small_ones_are_not() -> None:
    """Each part costs the reading of its shard."""
    dealt = split_into_parts({"a": 100, "b": 10, "c": 10}, 4)
    assert dealt == [
        (Part("a", 0, 30),),
        (Part("a", 30, 60),),
        (Part("a", 60, 90),),
        (Part("a", 90, 100), Part("b", 0, 10), Part("c", 0, 10)),
    ]
