"""The lease of a run: one driver at a time, and a dead one is followed."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import RunHeldError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import LEASE_SECONDS, RENEW_SECONDS, STOP, Lease, read_holder
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def test_of_two_drivers_one_is_told_who_holds_the_run(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Host, process, since when and until when; what was given back is free at once."""
    with Lease(storage, clock):
        with pytest.raises(RunHeldError) as refused:
            Lease(storage, clock).take()
        said = str(refused.value)
        assert (
            f"is driven by {platform.node()}, pid {os.getpid()}, since 2027-01-15 08:00:00 UTC"
            in said
        )
        assert "until 2027-01-15 08:06:00 UTC" in said
    Lease(storage, clock).take()


def elsewhere(storage: LocalStorage, **changed: Any) -> None:
    """Make the lease one of another machine."""
    holder = json.loads(storage.read(layout.LEASE_FILE))
    storage.write(layout.LEASE_FILE, json.dumps(holder | {"place": "other"} | changed).encode())


def test_a_killed_holders_lease_expires(storage: LocalStorage, clock: FakeClock) -> None:
    """Not before: another machine's process cannot be looked at. What a newer version added to
    the lease is no matter.
    """
    Lease(storage, clock).take()
    elsewhere(storage, pid=0, added="x")
    clock.time += LEASE_SECONDS - 1
    with pytest.raises(RunHeldError):
        Lease(storage, clock).take()
    clock.time += 1
    Lease(storage, clock).take()


def die_holding(folder: str) -> None:
    Lease(LocalStorage(folder), FakeClock()).take()
    os._exit(9)


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="no way to tell machines apart")
def test_a_holder_of_this_machine_that_is_dead_is_followed_at_once(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Nobody waits for a process that can be seen to be gone."""
    process = multiprocessing.get_context("fork").Process(target=die_holding, args=(storage.uri,))
    process.start()
    process.join()
    holder = read_holder(storage)
    assert holder is not None
    assert holder.pid == process.pid
    Lease(storage, clock).take()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_dead_holder_that_nobody_buried_is_followed_at_once(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """In a container there may be no init that asks how its processes ended."""
    process = multiprocessing.get_context("fork").Process(target=die_holding, args=(storage.uri,))
    process.start()
    os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    Lease(storage, clock).take()
    process.join()


def test_who_was_taken_over_stops(storage: LocalStorage, clock: FakeClock) -> None:
    """A driver that slept through its lease finds that out at its next renewal."""
    first, second = Lease(storage, clock), Lease(storage, clock)
    first.take()
    clock.time += LEASE_SECONDS
    second.take()
    with pytest.raises(RunHeldError, match="is driven by"):
        first.hold()
    first.release()  # not the other's
    clock.time += RENEW_SECONDS
    second.hold()


def test_who_stops_a_run_goes_before_who_drives_it(storage: LocalStorage, clock: FakeClock) -> None:
    """The driver finds out at its next renewal; of two that stop it, one does."""
    driver, stopper = Lease(storage, clock), Lease(storage, clock, STOP)
    driver.take()
    stopper.take()
    for other in (Lease(storage, clock), Lease(storage, clock, STOP)):
        with pytest.raises(RunHeldError, match="is being stopped by"):
            other.take()
    clock.time += RENEW_SECONDS
    with pytest.raises(RunHeldError, match="is being stopped by"):
        driver.hold()


def test_a_lease_is_renewed_while_it_is_held(storage: LocalStorage, clock: FakeClock) -> None:
    """When a third of it has passed, not at every step; it never runs out."""
    lease = Lease(storage, clock)
    written = []
    for _ in range(100):
        lease.hold()
        written.append(storage.read(layout.LEASE_FILE))
        clock.time += RENEW_SECONDS / 4
        with pytest.raises(RunHeldError):
            Lease(storage, clock).take()
    assert 20 <= len(set(written)) <= 26


def test_an_expired_lease_that_nobody_took_is_still_ours(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """A laptop that slept goes on."""
    lease = Lease(storage, clock)
    lease.take()
    clock.time += 10 * LEASE_SECONDS
    lease.hold()
    with pytest.raises(RunHeldError):
        Lease(storage, clock).take()


def test_a_clock_that_is_set_back_does_no_harm(storage: LocalStorage, clock: FakeClock) -> None:
    """The lease is renewed by the new time: else it would block others for as long as the jump."""
    lease = Lease(storage, clock)
    lease.take()
    clock.time -= 86_400
    lease.hold()
    holder = read_holder(storage)
    assert holder is not None
    assert holder.until == clock.time + LEASE_SECONDS


def test_of_two_that_take_an_expired_lease_at_once_one_wins(
    storage: LocalStorage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is conditional on what was read."""
    Lease(storage, clock).take()
    clock.time += LEASE_SECONDS
    read = storage.read_version

    def read_then_lose(key: str) -> tuple[bytes, str] | None:
        found = read(key)
        monkeypatch.setattr(storage, "read_version", read)
        Lease(storage, clock).take()
        return found

    monkeypatch.setattr(storage, "read_version", read_then_lose)
    with pytest.raises(RunHeldError):
        Lease(storage, clock).take()


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"pid": 1}', b"\xff"])
def test_a_lease_that_cannot_be_read_blocks_nobody(
    storage: LocalStorage, clock: FakeClock, damage: bytes
) -> None:
    """Nobody can be said to hold it."""
    storage.write(layout.LEASE_FILE, damage)
    Lease(storage, clock).take()
