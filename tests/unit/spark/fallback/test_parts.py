"""The split of unanswered records among tasks: each record once, and equal loads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.fallback.parts import Part, split_into_parts

COUNTS = st.dictionaries(
    st.integers(0, 30).map(lambda n: f"shard-{n:05d}-00"), st.integers(0, 500), max_size=20
)


def records_of(tasks: list[tuple[Part, ...]]) -> list[tuple[str, int]]:
    """Return every record of all parts: its shard and its position there."""
    return [(p.shard_id, i) for parts in tasks for p in parts for i in range(p.start, p.stop)]


@given(COUNTS, st.integers(1, 16))
def test_each_record_is_in_one_part(counts: dict[str, int], tasks: int) -> None:
    """For any shards and any number of tasks."""
    records = records_of(split_into_parts(counts, tasks))
    assert sorted(records) == sorted((s, i) for s, n in counts.items() for i in range(n))


@given(COUNTS, st.integers(1, 16))
def test_a_task_has_less_than_twice_the_mean_load(counts: dict[str, int], tasks: int) -> None:
    """Also if one shard has all unanswered records: it is split among all tasks."""
    by_task = split_into_parts(counts, tasks)
    mean = -(-sum(counts.values()) // tasks)  # rounded up
    loads = [sum(part.records for part in parts) for parts in by_task]
    assert len(loads) <= tasks
    assert all(load < 2 * mean or mean == 1 for load in loads)


@given(COUNTS, st.integers(1, 16), st.integers(0, 600))
def test_records_beyond_most_are_left_out(counts: dict[str, int], tasks: int, most: int) -> None:
    """The budget may not suffice for all records: then only the first `most` are asked."""
    records = records_of(split_into_parts(counts, tasks, most))
    all_records = sorted((s, i) for s, n in counts.items() for i in range(n))
    assert sorted(records) == all_records[:most]


def test_only_a_large_shard_is_split() -> None:
    """A task reads the whole shard of each of its parts, so fewer parts are better."""
    by_task = split_into_parts({"a": 100, "b": 10, "c": 10}, 4)
    assert by_task == [
        (Part("a", 0, 30),),
        (Part("a", 30, 60),),
        (Part("a", 60, 90),),
        (Part("a", 90, 100), Part("b", 0, 10), Part("c", 0, 10)),
    ]
