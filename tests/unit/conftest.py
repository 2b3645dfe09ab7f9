"""What every unit test may rely on: no network, no real waiting, the same examples every time."""

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
from tests.unit.driving import Drive
from tests.unit.fakes import CannedHttp, FakeClock

hypothesis.settings.register_profile(
    "unit", max_examples=80, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("unit")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that connects to anything fails."""

    def refuse(_socket: socket.socket, address: object) -> None:
        raise AssertionError(f"a unit test connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that really sleeps fails: time is an argument."""
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
def drive(tmp_path: Path) -> Callable[..., Drive]:
    """Open a run of shards with so many records on a fake service."""
    return lambda records, **batch: Drive(tmp_path / "run", records, **batch)


@pytest.fixture(scope="session")
def bedrock() -> Any:
    """The control-plane client, as the pipeline makes it."""
    return bedrock_client(AwsSettings("us-east-1"))


@pytest.fixture(scope="session")
def runtime() -> Any:
    """The runtime client, as the fallback makes it."""
    return runtime_client(AwsSettings("us-east-1"), 60, 10)


@pytest.fixture
def canned() -> Iterator[Callable[..., CannedHttp]]:
    """Let a client get these replies and no others, for one test."""
    opened: list[CannedHttp] = []

    def reply_with(client: Any, *replies: Any) -> CannedHttp:
        opened.append(CannedHttp(client, *replies))
        return opened[-1]

    yield reply_with
    for one in opened:
        one.close()
