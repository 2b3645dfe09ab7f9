"""The split of unanswered records among tasks: each record once, and equal loads."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config import FallbackConfig
from bedrock_spark.spark.fallback.parts import Part, TaskParts, number_of_tasks, split_into_parts

COUNTS = st.dictionaries(
    st.integers(0, 30).map(lambda n: f"shard-{n:05d}-00"), st.integers(0, 500), max_size=20
)


def records_of(tasks: list[TaskParts]) -> list[tuple[str, int]]:
    """Return every record of all parts: its shard and its position there."""
    return [(p.shard_id, i) for parts in tasks for p in parts for i in range(p.start, p.stop)]


@given(COUNTS, st.integers(1, 16))
def test_each_record_is_in_one_part(counts: dict[str, int], tasks: int) -> None:
    """For any shards and any number of tasks."""
    records = records_of(split_into_parts(counts, tasks))
    assert sorted(records) == sorted((s, i) for s, n in counts.items() for i in range(n))


@given(COUNTS, st.integers(1, 16))
def test_tasks_have_equal_loads_and_few_parts(counts: dict[str, int], tasks: int) -> None:
    """Also if one shard has all unanswered records: it is split among all tasks."""
    by_task = split_into_parts(counts, tasks)
    loads = [task.records for task in by_task]
    assert len(loads) == min(tasks, sum(counts.values()))
    assert max(loads, default=0) - min(loads, default=0) <= 1
    assert sum(map(len, by_task)) <= sum(map(bool, counts.values())) + max(0, len(by_task) - 1)


@given(COUNTS, st.integers(1, 16), st.none() | st.integers(1, 600))
def test_the_parts_of_a_task_are_a_sequence_that_can_be_sent(
    counts: dict[str, int], tasks: int, most: int | None
) -> None:
    """Each part has the digest and the files of its shard, and the number of its records."""
    digests = {shard: f"digest of {shard}" for shard in counts}
    files = {shard: (count, 7) for shard, count in counts.items() if count % 2}
    for task in split_into_parts(counts, tasks, most, digests, files):
        parts = list(task)
        assert all(p.digest == digests[p.shard_id] for p in parts)
        assert all(p.files == files.get(p.shard_id, ()) for p in parts)
        assert all(0 <= p.start < p.stop <= counts[p.shard_id] for p in parts)
        assert task.records == sum(part.records for part in parts)
        assert [*task[1:], task[0], task[-1]] == [*parts[1:], parts[0], parts[-1]]
        assert list(pickle.loads(pickle.dumps(task))) == parts


@given(COUNTS, st.integers(1, 16), st.integers(0, 600))
def test_records_beyond_most_are_left_out(counts: dict[str, int], tasks: int, most: int) -> None:
    """The budget may not suffice for all records: then only the first `most` are asked."""
    records = records_of(split_into_parts(counts, tasks, most))
    all_records = sorted((s, i) for s, n in counts.items() for i in range(n))
    assert sorted(records) == all_records[:most]


def test_only_a_large_shard_is_split() -> None:
    """A task reads the whole shard of each of its parts, so fewer parts are better."""
    by_task = split_into_parts({"a": 100, "b": 10, "c": 10}, 4)
    assert [list(parts) for parts in by_task] == [
        [Part("a", 0, 30)],
        [Part("a", 30, 60)],
        [Part("a", 60, 90)],
        [Part("a", 90, 100), Part("b", 0, 10), Part("c", 0, 10)],
    ]


@pytest.mark.parametrize(
    ("records", "limits", "tasks"),
    [
        (1, {}, 1),
        (255, {}, 1),
        (1_232, {}, 4),
        (10_000, {}, 39),
        (1_000_000, {}, 128),
        (10**9, {}, 128),
        (1_000_000, {"requests_per_minute": 60}, 1),
        (1_000_000, {"requests_per_minute": 1_000}, 31),
        (1_000_000, {"requests_per_minute": 10_000}, 128),
        (1_000_000, {"tokens_per_minute": 200_000}, 62),
        (1_000_000, {"requests_per_minute": 500, "tokens_per_minute": 200_000}, 15),
        (1_000_000, {"concurrency": 256}, 16),
        (1_000_000, {"concurrency": 1}, 512),
        (10_000, {"concurrency": 1}, 100),
    ],
)
def test_the_number_of_tasks_follows_records_and_limits(
    records: int, limits: dict[str, int], tasks: int
) -> None:
    """Not the cores that are alive when a round begins."""
    assert number_of_tasks(records, FallbackConfig(model_id="m", **limits)) == tasks


@given(
    st.integers(0, 10**9),
    st.none() | st.integers(1, 10**6),
    st.none() | st.integers(1, 10**9),
    st.integers(1, 256),
)
def test_no_task_has_a_handful_of_records_or_of_calls(
    records: int, requests: int | None, tokens: int | None, concurrency: int
) -> None:
    """Unless there is one task; and more records or a higher limit never make fewer tasks."""
    config = FallbackConfig(
        model_id="m",
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        concurrency=concurrency,
    )
    tasks = number_of_tasks(records, config)
    assert 1 <= tasks <= number_of_tasks(records + 1, config)
    if tasks > 1:
        assert records / tasks >= max(100, 8 * concurrency)
        assert requests is None or tasks * concurrency <= requests
    faster = config.model_copy(update={"requests_per_minute": None, "tokens_per_minute": None})
    assert tasks <= number_of_tasks(records, faster)
