"""Rules for every unit test: no network, no real waiting, the same random examples each time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from bedrock_spark.aws.clients import AwsSettings, bedrock_client, runtime_client
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import CannedHttp, FakeClock

hypothesis.settings.register_profile(
    "unit", max_examples=80, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("unit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, before pytest selects some by their marks."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.unit)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a unit test that opens a connection."""

    def refuse(_socket: socket.socket, address: object) -> None:
        raise AssertionError(f"a unit test connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a unit test that really sleeps: the clock is an argument."""
    sleep = time.sleep

    def refuse(seconds: float) -> None:
        waits_for_child = sys._getframe(1).f_globals["__name__"] == "subprocess"
        ours = threading.current_thread() is threading.main_thread()  # Spark's threads are not
        if ours and not waits_for_child:
            raise AssertionError(f"a unit test sleeps for {seconds} s")
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", refuse)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fake_run(tmp_path: Path) -> Callable[..., FakeRun]:
    """Open a run on a fake service; `records` has the number of records of each shard."""
    return lambda records, **batch: FakeRun(tmp_path / "run", records, **batch)


@pytest.fixture(scope="session")
def bedrock() -> Any:
    """Return the control-plane client, as the pipeline makes it."""
    return bedrock_client(AwsSettings("us-east-1"))


@pytest.fixture(scope="session")
def runtime() -> Any:
    """Return the runtime client, as the fallback makes it."""
    return runtime_client(AwsSettings("us-east-1"), 60, 10)


@pytest.fixture
def canned() -> Iterator[Callable[..., CannedHttp]]:
    """Return a function that gives a client these replies and no others, for one test."""
    opened: list[CannedHttp] = []

    def reply_with(client: Any, *replies: Any) -> CannedHttp:
        opened.append(CannedHttp(client, *replies))
        return opened[-1]

    yield reply_with
    for one in opened:
        one.close()
