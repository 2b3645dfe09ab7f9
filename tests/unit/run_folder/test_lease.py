"""The lease of a run: one holder at a time, and a dead holder is replaced."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import RunHeldError, StorageError
from bedrock_spark.run_folder import layout, machine
from bedrock_spark.run_folder.lease import (
    LEASE_SECONDS,
    RENEW_SECONDS,
    STOP,
    Lease,
    read_holder,
)
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def test_a_second_controller_is_refused_and_learns_the_holder(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Host, PID, begin and end. After the release the lease is free at once."""
    with Lease(storage, clock):
        with pytest.raises(RunHeldError) as refused:
            Lease(storage, clock).acquire()
        message = str(refused.value)
        assert (
            f"is controlled by {platform.node()}, pid {os.getpid()}, since 2027-01-15 08:00:00 UTC"
            in message
        )
        assert "until 2027-01-15 08:06:00 UTC" in message
    Lease(storage, clock).acquire()


def move_to_other_machine(storage: LocalStorage, **changed: Any) -> None:
    """Make the lease's holder a process of another machine; `changed` replaces members."""
    holder = json.loads(storage.read(layout.LEASE_FILE))
    storage.write(layout.LEASE_FILE, json.dumps(holder | {"place": "other"} | changed).encode())


def test_a_killed_holders_lease_expires(storage: LocalStorage, clock: FakeClock) -> None:
    """Not earlier, because a process of another machine cannot be checked for life.

    A member that a newer version added is ignored.
    """
    Lease(storage, clock).acquire()
    move_to_other_machine(storage, pid=0, added="x")
    clock.time += LEASE_SECONDS - 1
    with pytest.raises(RunHeldError):
        Lease(storage, clock).acquire()
    clock.time += 1
    Lease(storage, clock).acquire()


def acquire_and_die(folder: str) -> None:
    Lease(LocalStorage(folder), FakeClock()).acquire()
    os._exit(9)


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="machines cannot be told apart")
def test_a_dead_holder_on_this_machine_is_replaced_at_once(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Its PID does not exist any more."""
    process = multiprocessing.get_context("fork").Process(
        target=acquire_and_die, args=(storage.uri,)
    )
    process.start()
    process.join()
    holder = read_holder(storage)
    assert holder is not None
    assert holder.pid == process.pid
    Lease(storage, clock).acquire()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_zombie_holder_is_replaced_at_once(storage: LocalStorage, clock: FakeClock) -> None:
    """A container may have no init process that reaps dead processes."""
    process = multiprocessing.get_context("fork").Process(
        target=acquire_and_die, args=(storage.uri,)
    )
    process.start()
    os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    Lease(storage, clock).acquire()
    process.join()


def test_a_process_that_got_the_pid_of_a_dead_holder_replaces_it_at_once(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """As in a restarted container that kept its /tmp. It began later."""
    Lease(storage, clock).acquire()
    holder = json.loads(storage.read(layout.LEASE_FILE))
    began_earlier = holder | {"start": holder["start"] - 1}
    storage.write(layout.LEASE_FILE, json.dumps(began_earlier).encode())
    Lease(storage, clock).acquire()


@pytest.mark.parametrize("pid", [2**22 + 1, None])
def test_a_copy_of_the_machine_waits_until_the_lease_expires(
    storage: LocalStorage,
    clock: FakeClock,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    pid: int | None,
) -> None:
    """Machines restored from one snapshot have the same boot, namespaces and PIDs.

    The holder may be at work there, though here no process has its PID, or the process that asks.
    """
    copies = [tmp_path_factory.mktemp("copy") for _ in range(2)]
    monkeypatch.setattr(machine, "FOLDER", copies[0])
    Lease(storage, clock).acquire()
    holder = json.loads(storage.read(layout.LEASE_FILE))
    storage.write(layout.LEASE_FILE, json.dumps(holder | ({"pid": pid} if pid else {})).encode())
    monkeypatch.setattr(machine, "FOLDER", copies[1])
    with pytest.raises(RunHeldError):
        Lease(storage, clock).acquire()
    found = read_holder(storage)
    assert found is not None
    assert not found.is_alive
    assert not found.is_over(clock.now())
    clock.time += LEASE_SECONDS
    Lease(storage, clock).acquire()


def test_where_machines_cannot_be_told_apart_no_holder_counts_as_dead(
    storage: LocalStorage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its PID may be one of another machine. So only the time ends its lease."""
    monkeypatch.setattr("bedrock_spark.run_folder.processes.this_place", lambda: "")
    Lease(storage, clock).acquire()
    move_to_other_machine(storage, place="", pid=2**22 + 1)
    with pytest.raises(RunHeldError):
        Lease(storage, clock).acquire()
    clock.time += LEASE_SECONDS
    Lease(storage, clock).acquire()


def test_a_holder_that_lost_its_lease_stops(storage: LocalStorage, clock: FakeClock) -> None:
    """A controller that slept until its lease expired learns this at its next renewal."""
    first, second = Lease(storage, clock), Lease(storage, clock)
    first.acquire()
    clock.time += LEASE_SECONDS
    second.acquire()
    with pytest.raises(RunHeldError, match="is controlled by"):
        first.renew_if_due()
    first.release()  # does not release the lease of the second
    clock.time += RENEW_SECONDS
    second.renew_if_due()


def test_stopping_a_run_takes_over_the_lease_of_its_controller(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """The controller learns this at its next renewal. A second process that stops is refused."""
    controller, stopper = Lease(storage, clock), Lease(storage, clock, STOP)
    controller.acquire()
    stopper.acquire()
    for other in (Lease(storage, clock), Lease(storage, clock, STOP)):
        with pytest.raises(RunHeldError, match="is being stopped by"):
            other.acquire()
    clock.time += RENEW_SECONDS
    with pytest.raises(RunHeldError, match="is being stopped by"):
        controller.renew_if_due()


def test_a_lease_is_renewed_while_it_is_held(storage: LocalStorage, clock: FakeClock) -> None:
    """When a third of its time has passed, not in every step; it never expires."""
    lease = Lease(storage, clock)
    written = []
    for _ in range(100):
        lease.renew_if_due()
        written.append(storage.read(layout.LEASE_FILE))
        clock.time += RENEW_SECONDS / 4
        with pytest.raises(RunHeldError):
            Lease(storage, clock).acquire()
    assert 20 <= len(set(written)) <= 26


def test_an_expired_lease_that_nobody_acquired_can_be_renewed(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """A laptop that slept carries on."""
    lease = Lease(storage, clock)
    lease.acquire()
    clock.time += 10 * LEASE_SECONDS
    lease.renew_if_due()
    with pytest.raises(RunHeldError):
        Lease(storage, clock).acquire()


def test_after_a_clock_is_set_back_the_lease_is_renewed(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """It ends by the new time. Otherwise it would block others for the length of the jump."""
    lease = Lease(storage, clock)
    lease.acquire()
    clock.time -= 86_400
    lease.renew_if_due()
    holder = read_holder(storage)
    assert holder is not None
    assert holder.until == clock.time + LEASE_SECONDS


def test_of_two_that_acquire_an_expired_lease_at_once_one_wins(
    storage: LocalStorage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is conditional on the version that was read."""
    Lease(storage, clock).acquire()
    clock.time += LEASE_SECONDS
    read = storage.read_version

    def read_then_lose(key: str) -> tuple[bytes, str] | None:
        before = read(key)
        monkeypatch.setattr(storage, "read_version", read)
        Lease(storage, clock).acquire()
        return before

    monkeypatch.setattr(storage, "read_version", read_then_lose)
    with pytest.raises(RunHeldError):
        Lease(storage, clock).acquire()


def test_a_renewal_meanwhile_does_not_keep_stop_from_the_lease(
    storage: LocalStorage, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version has changed between its look and its write, but the holder has not."""
    controller = Lease(storage, clock)
    controller.acquire()
    read = storage.read_version

    def read_then_renew(key: str) -> tuple[bytes, str] | None:
        before = read(key)
        monkeypatch.setattr(storage, "read_version", read)
        clock.time += 1
        controller.renew()
        return before

    monkeypatch.setattr(storage, "read_version", read_then_renew)
    Lease(storage, clock, STOP).acquire()
    with pytest.raises(RunHeldError, match="is being stopped by"):
        controller.renew()


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"pid": 1}', b"\xff"])
def test_a_damaged_lease_blocks_nobody(
    storage: LocalStorage, clock: FakeClock, damage: bytes
) -> None:
    """It does not name a holder."""
    storage.write(layout.LEASE_FILE, damage)
    Lease(storage, clock).acquire()


class LosingReplies(LocalStorage):
    """A storage whose next `lost` writes are done, but their replies are lost."""

    lost = 0

    def replace(self, key: str, data: bytes, version: str | None) -> str:
        new = super().replace(key, data, version)
        if self.lost:
            self.lost -= 1
            raise StorageError("no reply")
        return new


def test_a_lost_reply_to_a_renewal_is_no_takeover(tmp_path: Path, clock: FakeClock) -> None:
    """The object has changed, but by this process: it carries on, and others are still refused."""
    storage = LosingReplies(str(tmp_path))
    with Lease(storage, clock) as lease:
        for _ in range(2):
            storage.lost = 1
            clock.time += 10.0  # else the bytes would be the same
            with pytest.raises(StorageError):
                lease.renew()
            clock.time += 100.0
            lease.renew()
            holder = read_holder(storage)
            assert holder is not None
            assert holder.until == clock.time + LEASE_SECONDS
        with pytest.raises(RunHeldError):
            Lease(storage, clock).acquire()
        storage.lost = 1
        clock.time += 10.0
        with pytest.raises(StorageError):
            lease.renew()
    Lease(storage, clock).acquire()


@pytest.mark.parametrize("what", ["deleted", "damaged", "taken"])
def test_a_lease_that_is_no_longer_there_is_lost(
    storage: LocalStorage, clock: FakeClock, what: str
) -> None:
    """It is not written again: another process may be at work."""
    lease = Lease(storage, clock)
    lease.acquire()
    if what == "deleted":
        storage.delete([layout.LEASE_FILE])
    elif what == "damaged":
        storage.write(layout.LEASE_FILE, b"{")
    else:
        move_to_other_machine(storage, holder_id="other")
    before = storage.read_if_present(layout.LEASE_FILE)
    for _ in range(2):
        with pytest.raises(RunHeldError):
            lease.renew()
    lease.release()
    assert storage.read_if_present(layout.LEASE_FILE) == before


def test_a_lease_is_not_renewed_before_a_third_of_it_has_passed(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """Each renewal is a request to S3."""
    lease = Lease(storage, clock)
    lease.acquire()
    writes, real = [], storage.replace

    def replace(key: str, data: bytes, version: str | None) -> str:
        writes.append(clock.time)
        return real(key, data, version)

    storage.replace = replace  # type: ignore[method-assign]
    for passed in (0.0, 1.0, RENEW_SECONDS - 2):
        clock.time += passed
        lease.renew_if_due()
    assert writes == []
    clock.time += 1.0
    lease.renew_if_due()
    assert writes == [clock.time]


def test_a_released_lease_names_its_last_holder(storage: LocalStorage, clock: FakeClock) -> None:
    """With 0 as its end: it is free whatever any clock says."""
    with Lease(storage, clock):
        pass
    holder = read_holder(storage)
    assert holder is not None
    assert (holder.pid, holder.until) == (os.getpid(), 0.0)
