"""The tracker: a shard is in one state, and waits in the queue at most once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job
from bedrock_spark.run_folder.ledger.state import LedgerState
from bedrock_spark.run_folder.manifest import Shard

SHARDS = [f"shard-0000{i}-00" for i in range(4)]
STATUSES = (None, "Submitted", "InProgress", "Completed", "Expired", "Failed", "Stopped")


def job_of(shard_id: str, attempt: int, status: str | None) -> Job:
    name = f"{shard_id}-a{attempt}"
    seen = SeenJob(f"arn:{name}", name, "t", status) if status else None
    return Job(shard_id, attempt, name, "t", seen)


# What may happen to a shard: an adopted or a listed job, the end of its jobs, one more attempt.
JOBS = st.builds(job_of, st.sampled_from(SHARDS), st.integers(1, 3), st.sampled_from(STATUSES))
OPERATIONS = st.one_of(
    st.tuples(st.just("update"), JOBS),
    st.tuples(st.just("finish"), st.sampled_from(SHARDS)),
    st.tuples(st.just("reopen"), st.sampled_from(SHARDS)),
    st.tuples(st.sampled_from(["pop", "push", "put back all", "unblock"]), st.none()),
    st.tuples(st.sampled_from(["excuse", "withdraw"]), st.integers(0, 99)),
)


def apply(tracker: ShardTracker, taken: list[str], operation: str, value: Any) -> None:
    if operation == "update":
        tracker.update(value)
    elif operation == "finish":
        tracker.finish(value, "why")
    elif operation == "reopen" and tracker.is_done(value) and tracker.latest(value) is not None:
        tracker.reopen(value, ExtraAttempt(tracker.latest(value).attempt + 1, "in", 9, "f"))  # type: ignore[union-attr]
    elif operation == "excuse" and tracker.jobs:
        job = list(tracker.jobs.values())[value % len(tracker.jobs)]
        if job.is_settled:
            tracker.excuse(job.job_name)
            forget(taken, job.shard_id)
    elif operation == "withdraw" and tracker.announced_jobs():
        announced = tracker.announced_jobs()
        job = announced[value % len(announced)]
        tracker.withdraw(job.job_name)
        assert job not in tracker.jobs_of(job.shard_id)
        forget(taken, job.shard_id)
    elif operation == "unblock":
        tracker.unblock()
    elif operation == "pop":
        popped = tracker.pop_waiting()
        if popped is not None:
            assert popped not in taken
            taken.append(popped)
    elif operation == "push" and taken:
        tracker.push_waiting(taken.pop())
    elif operation == "put back all":
        tracker.push_all_taken()


def forget(taken: list[str], shard_id: str) -> None:
    """Note that a shard may be in another state than taken now."""
    taken[:] = [s for s in taken if s != shard_id]


@given(st.lists(OPERATIONS, max_size=40))
def test_a_shard_waits_once_and_is_taken_once(operations: list[tuple[str, Any]]) -> None:
    """Whatever happens to its jobs: taken twice in one step, it would be paid for twice."""
    tracker = ShardTracker([Shard(s, 50, 1, "x") for s in SHARDS], 3, LedgerState())
    taken: list[str] = []
    for operation, value in operations:
        apply(tracker, taken, operation, value)
        waiting = tracker.waiting_shards()
        assert len(set(waiting)) == len(waiting) == tracker.waiting
        # A shard that got a job, was finished or put back is not taken any more.
        taken = [] if operation == "put back all" else [s for s in taken if s not in waiting]
        if operation in ("update", "finish"):
            changed = value.shard_id if operation == "update" else value
            taken = [s for s in taken if s != changed]
    tracker.push_all_taken()
    popped: list[str] = []
    while (shard_id := tracker.pop_waiting()) is not None:
        popped.append(shard_id)
    assert len(set(popped)) == len(popped)
    assert not set(tracker.done_shards()) & set(popped)


def test_shards_that_are_put_back_keep_their_order() -> None:
    """A step that failed takes the same shards again."""
    tracker = ShardTracker([Shard(s, 50, 1, "x") for s in SHARDS], 3, LedgerState())
    pop: Callable[[], str | None] = tracker.pop_waiting
    assert [pop(), pop(), pop()] == SHARDS[:3]
    tracker.push_all_taken()
    assert tracker.waiting_shards() == SHARDS
