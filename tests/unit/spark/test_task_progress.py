"""The progress of Spark tasks, in records; the names of Spark's jobs."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py4j.protocol import Py4JNetworkError

from bedrock_spark.progress import Progress, ignore_progress
from bedrock_spark.spark import tasks as module
from bedrock_spark.spark.tasks import Step, TaskProgress, observed_tasks

STEPS = st.lists(
    st.integers(1, 10**5).flatmap(
        lambda tasks: st.tuples(st.integers(0, 9), st.integers(0, tasks), st.just(tasks))
    ),
    max_size=3,
).map(lambda steps: [Step(*step) for step in steps])


def test_steps_are_told_until_the_one_that_reads_the_records_begins() -> None:
    """The step before the shuffle has as many tasks here: the number of steps tells them apart."""
    seen: list[Progress] = []
    tasks = TaskProgress("prepare", seen.append)
    tasks.refresh = lambda: tasks.note([Step(0, 2, 2)])
    tasks.begin()
    tasks.note([Step(0, 1, 2)])
    tasks.expect(1_000, tasks=4, shuffles=1)
    tasks.note([Step(0, 2, 2), Step(1, 4, 4)])
    tasks.note([Step(1, 4, 4), Step(3, 1, 4)])
    tasks.note([Step(3, 4, 4)])
    tasks.end()
    assert [(p.done, p.total, p.detail) for p in seen] == [
        (0, None, ""),
        (0, None, "1 of 2 tasks of Spark in step 1"),
        (0, None, "2 of 2 tasks of Spark in step 1"),
        (0, 1_000, ""),
        (0, 1_000, "4 of 4 tasks of Spark in step 2"),
        (250, 1_000, "1 of 4 tasks of Spark in step 3"),
        (1_000, 1_000, "4 of 4 tasks of Spark in step 3"),
        (1_000, 1_000, ""),
    ]
    assert seen[0].waits_for == "Spark"


@given(st.integers(0, 10**10), st.none() | st.integers(1, 9), st.lists(STEPS), st.lists(STEPS))
def test_the_count_never_falls_and_its_total_is_fixed(
    records: int, planned: int | None, before: list[list[Step]], notes: list[list[Step]]
) -> None:
    """Whatever steps come, and also if Spark forgets old ones."""
    seen: list[Progress] = []
    tasks = TaskProgress("collect", seen.append, "rows", records, planned)
    for steps in before:
        tasks.note(steps)
    tasks.expect(records, planned)
    begun = len(seen)
    for steps in notes:
        tasks.note(steps)
    tasks.end()
    assert all(p.total == records and 0 <= p.done <= records for p in seen)
    for part in (seen[: begun - 1], seen[begun - 1 :]):
        counts = [p.done for p in part]
        assert counts == sorted(counts)
    assert seen[-1].done == records


class Context:
    """As much of a SparkContext as names its jobs."""

    def __init__(self, **properties: str) -> None:
        self.properties: dict[str, str | None] = dict(properties)

    def getLocalProperty(self, name: str) -> str | None:  # noqa: N802 - Spark's name
        return self.properties.get(name)

    def setLocalProperty(self, name: str, value: str | None) -> None:  # noqa: N802
        self.properties[name] = value

    def setJobGroup(  # noqa: N802
        self,
        group: str,
        description: str,
        interruptOnCancel: bool,  # noqa: N803
    ) -> None:
        self.properties["spark.jobGroup.id"] = group
        self.properties["spark.job.description"] = description
        self.properties["spark.job.interruptOnCancel"] = str(interruptOnCancel).lower()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    "own",
    [
        {},
        {
            "spark.jobGroup.id": "notebook",
            "spark.job.description": "cell 7",
            "spark.job.interruptOnCancel": "false",
        },
    ],
)
def test_jobs_are_named_without_an_observer_and_the_caller_s_names_come_back(
    monkeypatch: pytest.MonkeyPatch, own: dict[str, str], fails: bool
) -> None:
    """A notebook cancels its own cell by its group."""
    context = Context(**own)
    monkeypatch.setattr(module, "classic_context", lambda _: context)
    spark: Any = None

    def work() -> None:
        with observed_tasks(spark, "publish", ignore_progress):
            assert context.properties["spark.job.description"] == "bedrock_spark publish"
            assert str(context.properties["spark.jobGroup.id"]).startswith("bedrock-spark-publish-")
            if fails:
                raise ValueError("a stage that fails")

    if fails:
        with pytest.raises(ValueError, match="a stage that fails"):
            work()
    else:
        work()
    assert {name: value for name, value in context.properties.items() if value} == own


def test_actions_have_a_tag_over_spark_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no job groups. The tag is taken away again."""
    tags: list[str] = []

    class Session:
        addTag, removeTag = tags.append, tags.remove  # noqa: N815 - Spark's names

    monkeypatch.setattr(module, "classic_context", lambda _: None)
    session: Any = Session
    with observed_tasks(session, "collect", ignore_progress):
        assert [tag.rsplit("-", 1)[0] for tag in tags] == ["bedrock-spark-collect"]
    assert tags == []


class ConnectSession:
    """As much of a session of Spark Connect as names its actions and tells their progress."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.handlers: list[Any] = []
        self.addTag, self.removeTag = self.tags.append, self.tags.remove
        self.registerProgressHandler = self.handlers.append
        self.removeProgressHandler = self.handlers.remove

    def tell(self, *stages: tuple[int, int, int], done: bool = False) -> None:
        """Call the handlers as PySpark does. A stage: its id, its tasks, the finished ones."""
        infos = [SimpleNamespace(stage_id=i, num_tasks=n, num_completed_tasks=k, done=n == k)
                 for i, n, k in stages]  # fmt: skip
        for handler in self.handlers:
            handler(stages=infos, inflight_tasks=1, operation_id="x", done=done)


@pytest.mark.parametrize("fails", [False, True])
def test_the_server_of_spark_connect_tells_the_progress(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Only stages that have begun count, and only actions of this thread. Then nobody listens."""
    monkeypatch.setattr(module, "classic_context", lambda _: None)
    session, seen = ConnectSession(), list[Progress]()
    spark: Any = session

    def work() -> None:
        with observed_tasks(spark, "collect", seen.append, records=1_000, tasks=8):
            session.tell((5, 8, 2), (3, 4, 4), (7, 1, 0))
            session.tell((9, 8, 8), done=True)  # PySpark repeats the last stages at the end
            other = threading.Thread(target=session.tell, args=((6, 8, 8),))
            other.start()
            other.join()
            if fails:
                raise ValueError("a stage that fails")

    if fails:
        with pytest.raises(ValueError, match="a stage that fails"):
            work()
    else:
        work()
    told = [(p.done, p.detail) for p in seen]
    assert told[:2] == [(0, ""), (250, "2 of 8 tasks of Spark in step 2")]
    assert told[2:] == ([] if fails else [(1_000, "")])
    assert session.handlers == []
    assert session.tags == []


def test_spark_connect_tells_nothing_if_nobody_observes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before Spark 4, which has no progress there."""
    monkeypatch.setattr(module, "classic_context", lambda _: None)
    session = ConnectSession()
    spark: Any = session
    with observed_tasks(spark, "collect", ignore_progress):
        assert session.handlers == []


@pytest.mark.parametrize("error", [ConnectionRefusedError(), Py4JNetworkError("no answer")])
def test_a_java_process_that_is_gone_is_no_error_of_the_progress(error: Exception) -> None:
    """The thread that reports would end with a stack trace on the terminal."""
    tracker = Mock()
    tracker.getJobIdsForGroup.side_effect = error
    seen: list[Progress] = []
    module._report(tracker, "group", TaskProgress("collect", seen.append, "records", 10, None))
    assert seen == []
