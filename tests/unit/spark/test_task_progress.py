"""The progress of Spark tasks, in records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.progress import Progress
from bedrock_spark.spark.tasks import TaskProgress


def test_tasks_are_counted_until_the_number_of_records_is_known() -> None:
    """Then records, in proportion to the tasks that begin from then on."""
    seen: list[Progress] = []
    tasks = TaskProgress("prepare", seen.append)
    tasks.refresh = lambda: tasks.note(2, 2)
    tasks.begin()
    tasks.note(1, 2)
    tasks.expect(1_000)
    tasks.note(2, 6)
    tasks.note(3, 6)
    tasks.note(6, 6)
    tasks.end()
    assert [(p.done, p.total, p.unit) for p in seen] == [
        (0, None, "records"),
        (0, None, "records"),
        (0, None, "records"),
        (0, 1_000, "records"),
        (0, 1_000, "records"),
        (250, 1_000, "records"),
        (250, 1_000, "records"),
        (1_000, 1_000, "records"),
    ]
    assert seen[1].detail == "1 of 2 tasks of Spark"
    assert seen[0].waits_for == "Spark"


@given(st.integers(0, 10**10), st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5))))
def test_never_more_records_are_done_than_there_are(
    records: int, notes: list[tuple[int, int]]
) -> None:
    """Also if Spark forgets old tasks, so that their number falls."""
    seen: list[Progress] = []
    tasks = TaskProgress("collect", seen.append, "rows", records)
    for finished, more in notes:
        tasks.note(finished, finished + more)
    tasks.expect(records)
    for finished, more in notes:
        tasks.note(finished, finished + more)
    tasks.end()
    assert all(p.total is not None and 0 <= p.done <= p.total for p in seen)
    assert (seen[-1].done, seen[-1].total) == (records, records)
