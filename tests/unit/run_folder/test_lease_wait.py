"""Waiting for a lease: a dead holder is waited for, one that is at work is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import ExitCode, RunHeldError
from bedrock_spark.progress import Progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import CONTROL, LEASE_SECONDS, PUBLISH, STOP, Lease, read_holder
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS, LOOK_SECONDS, LeaseWait
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock

KEYS = {CONTROL: layout.LEASE_FILE, PUBLISH: layout.PUBLISHER_FILE, STOP: layout.LEASE_FILE}


class Eventful(FakeClock):
    """A clock that calls `then` once as many seconds have passed."""

    def __init__(self, after: float, then: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._then = self.time + after, then

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.time >= self._at:
            self._at = float("inf")
            self._then()


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def hold_elsewhere(storage: LocalStorage, now: float, purpose: str = CONTROL, **more: Any) -> None:
    """Let a process of another machine hold the lease; `more` are members of its lease."""
    values = {
        "holder_id": "theirs",
        "host": "node-7",
        "pid": 7,
        "place": "another machine",
        "since": now,
        "until": now + LEASE_SECONDS,
        "purpose": purpose,
        "start": 1,
    }
    storage.write(KEYS[purpose], json.dumps(values | more).encode())


@pytest.mark.parametrize("purpose", [CONTROL, PUBLISH, STOP])
def test_the_lease_of_a_killed_process_is_waited_for(
    storage: LocalStorage, clock: FakeClock, purpose: str
) -> None:
    """Until it expires, and no longer. What is waited for, and how long, is said once."""
    hold_elsewhere(storage, clock.now() - 100, purpose)
    told: list[Progress] = []
    wait = LeaseWait(DEFAULT_SECONDS, told.append)
    with Lease(storage, clock, purpose, wait):
        assert sum(clock.waits) == LEASE_SECONDS - 100
        assert max(clock.waits) <= LOOK_SECONDS
        holder = read_holder(storage, KEYS[purpose])
        assert holder is not None
        assert holder.host != "node-7"
    assert [progress.stage for progress in told] == ["lease", "lease"]
    assert f"{purpose} by node-7, pid 7, since" in told[0].detail
    assert "if that process is dead, its lease ends in 260 s" in told[0].detail
    assert told[0].waits_for == "the lease"
    assert told[1].is_done


@pytest.mark.parametrize("purpose", [CONTROL, PUBLISH])
@pytest.mark.parametrize("change", [{}, {"holder_id": "a third one", "host": "node-8"}])
def test_a_process_that_is_at_work_is_not_waited_for(
    storage: LocalStorage, purpose: str, change: dict[str, str]
) -> None:
    """It renews its lease, or another process was first. The exit code says: try later."""
    clock = Eventful(60, lambda: hold_elsewhere(storage, clock.now(), purpose, **change))
    hold_elsewhere(storage, clock.now(), purpose)
    with pytest.raises(RunHeldError, match="is at work: the lease was renewed") as caught:
        Lease(storage, clock, purpose, LeaseWait()).acquire()
    assert sum(clock.waits) == 60
    assert caught.value.exit_code is ExitCode.BUSY
    assert change.get("host", "node-7") in str(caught.value)


def test_a_lease_that_is_released_meanwhile_is_taken_at_once(storage: LocalStorage) -> None:
    """Its holder has ended."""
    clock = Eventful(30, lambda: hold_elsewhere(storage, clock.now(), until=0.0))
    hold_elsewhere(storage, clock.now())
    Lease(storage, clock, wait=LeaseWait()).acquire()
    assert sum(clock.waits) == 30


def test_a_process_of_this_machine_that_is_at_work_is_not_waited_for(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """It can be looked up."""
    with Lease(storage, clock), pytest.raises(RunHeldError, match="is at work on this machine"):
        Lease(storage, clock, wait=LeaseWait()).acquire()
    assert clock.waits == []


@pytest.mark.parametrize("seconds", [0.0, 25.0])
def test_the_wait_has_a_bound(storage: LocalStorage, clock: FakeClock, seconds: float) -> None:
    """After that the command ends as for a process that is at work, and names the holder."""
    hold_elsewhere(storage, clock.now())
    with pytest.raises(RunHeldError, match="is controlled by node-7, pid 7") as caught:
        Lease(storage, clock, wait=LeaseWait(seconds)).acquire()
    assert sum(clock.waits) == seconds
    assert ("did not end within the 25 s of --lease-wait" in str(caught.value)) is (seconds > 0)


def test_a_holder_whose_clock_is_ahead_is_waited_for_as_long_as_a_lease_lasts(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """It has not renewed its lease: by its own clock, too, it must have stopped."""
    hold_elsewhere(storage, clock.now() + 86_400)
    Lease(storage, clock, wait=LeaseWait()).acquire()
    assert sum(clock.waits) == LEASE_SECONDS


def test_the_default_suffices_for_every_lease() -> None:
    """A restart right after a kill needs no second one."""
    assert DEFAULT_SECONDS > LEASE_SECONDS + LOOK_SECONDS


def test_stop_takes_the_lease_of_a_controller_without_a_wait(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Whether it is at work or dead."""
    hold_elsewhere(storage, clock.now())
    Lease(storage, clock, STOP, LeaseWait()).acquire()
    assert clock.waits == []
