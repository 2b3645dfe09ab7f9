"""What every unit test may rely on: no network, no real waiting, the same examples every time."""

from __future__ import annotations

import socket
import time

import hypothesis
import pytest

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

    def refuse(seconds: float) -> None:
        raise AssertionError(f"a unit test sleeps for {seconds} s")

    monkeypatch.setattr(time, "sleep", refuse)
