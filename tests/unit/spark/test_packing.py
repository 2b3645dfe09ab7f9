"""Packing units into tasks: each unit once, few tasks, about equal loads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.packing import LEAST_TASKS, TASK_BYTES, UNIT_BYTES, pack


@given(st.lists(st.integers(0, 10**9), max_size=500))
def test_every_unit_is_in_one_task_and_no_task_is_much_larger_than_another(
    sizes: list[int],
) -> None:
    tasks = pack(sizes)
    assert sorted(unit for task in tasks for unit in task) == list(range(len(sizes)))
    loads = [sum(sizes[unit] + UNIT_BYTES for unit in task) for task in tasks]
    assert loads == sorted(loads, reverse=True)
    # The greedy rule: no task has more than the mean and one unit.
    if sizes:
        largest = max(sizes) + UNIT_BYTES
        assert all(load <= sum(loads) / len(loads) + largest for load in loads)
    assert all(len(task) == 1 for task in tasks) or len(tasks) >= LEAST_TASKS


def test_a_hundred_thousand_small_shards_become_tasks_of_seconds() -> None:
    tasks = pack([40_000] * 100_000)
    assert len(tasks) == -(-100_000 * (UNIT_BYTES + 40_000) // TASK_BYTES) == 1_579
    assert {len(task) for task in tasks} == {63, 64}


def test_large_shards_have_tasks_of_their_own() -> None:
    assert pack([10**9, 10**9, 5]) == [[0], [1], [2]]
    tasks = pack([10**9] * 200)
    assert [len(task) for task in tasks] == [1] * 200
