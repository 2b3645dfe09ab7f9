"""Spark actions at once: of one job group, all over at the end, and none waited for if ended."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bedrock_spark.spark.at_once import actions_at_once

WAIT = 60


class Properties(dict[str, str]):
    """The local properties of a thread, as Java has them."""

    def clone(self) -> Properties:
        return Properties(self)


class Context:
    """A SparkContext, and the Java object behind it. cancelled: the groups that were ended."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self._own = threading.local()
        self._jsc: Any = self

    def sc(self) -> Context:
        return self

    def getLocalProperties(self) -> Properties:  # noqa: N802 - Java's name
        return getattr(self._own, "properties", Properties())

    def setLocalProperties(self, properties: Properties) -> None:  # noqa: N802
        self._own.properties = properties

    def getLocalProperty(self, name: str) -> str | None:  # noqa: N802
        return self.getLocalProperties().get(name)

    def cancelJobGroup(self, group: str) -> None:  # noqa: N802
        self.cancelled.append(group)


class Session:
    def __init__(self, context: Context) -> None:
        self.sparkContext = context


class Remote:
    """A session of Spark Connect."""

    @property
    def sparkContext(self) -> Any:  # noqa: N802 - Spark's name
        raise NotImplementedError


@pytest.fixture
def context() -> Context:
    context = Context()
    context.setLocalProperties(Properties({"spark.jobGroup.id": "prepare-1", "pool": "fair"}))
    return context


def test_actions_run_at_once_in_the_job_group_of_the_caller(context: Context) -> None:
    session: Any = Session(context)
    together = threading.Barrier(2, timeout=WAIT)

    def action(name: str) -> tuple[str, Properties]:
        together.wait()
        return name, context.getLocalProperties()

    with actions_at_once(session) as actions:
        begun = [actions.begin(action, name) for name in ("a", "b")]
    own = {"spark.jobGroup.id": "prepare-1", "pool": "fair"}
    assert [each.result() for each in begun] == [("a", own), ("b", own)]


def test_what_an_action_raises_is_raised_by_its_result(context: Context) -> None:
    """The other actions are not touched by it."""
    session: Any = Session(context)

    def fails() -> None:
        raise ValueError("no such column")

    with actions_at_once(session) as actions:
        failed, other = actions.begin(fails), actions.begin(int, "3")
    assert other.result() == 3
    with pytest.raises(ValueError, match="no such column"):
        failed.result()


def test_actions_are_over_when_the_block_fails(context: Context) -> None:
    """So no job of a stage that has failed is left."""
    session: Any = Session(context)
    may_end, is_over = threading.Event(), threading.Event()

    def action() -> None:
        assert may_end.wait(WAIT)
        is_over.set()

    def fail() -> None:
        with actions_at_once(session) as actions:
            actions.begin(action)
            threading.Timer(0, may_end.set).start()
            raise ValueError("the stage failed")

    with pytest.raises(ValueError, match="the stage failed"):
        fail()
    assert is_over.is_set()
    assert context.cancelled == []


def test_an_interrupt_ends_the_jobs_and_waits_for_none(context: Context) -> None:
    session: Any = Session(context)
    may_end = threading.Event()

    def interrupted() -> None:
        with actions_at_once(session) as actions:
            actions.begin(may_end.wait, WAIT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert context.cancelled == ["prepare-1"]
    may_end.set()


def test_over_spark_connect_actions_run_one_after_another() -> None:
    session: Any = Remote()
    threads: list[threading.Thread] = []
    with actions_at_once(session) as actions:
        for _ in range(2):
            actions.begin(lambda: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()] * 2
