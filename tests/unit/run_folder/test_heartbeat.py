"""A lease or claim is renewed while a block runs; if it is lost, the block's work ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bedrock_spark.errors import RunHeldError, StorageError
from bedrock_spark.heartbeat import Renewal, kept
from bedrock_spark.run_folder.lease import LEASE_SECONDS, STOP, Lease, read_holder, renewed
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock

SECONDS = 60.0


class Renewing:
    """Counts renewals; raises `error` if there is one."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.renewals = 0

    def __call__(self) -> None:
        if self.error is not None:
            raise self.error
        self.renewals += 1


@pytest.fixture
def renewing() -> Renewing:
    return Renewing()


Beat = Callable[[], None]


def test_a_takeover_ends_the_work_at_once(renewing: Renewing, clock: FakeClock) -> None:
    """`on_lost` is called by every beat after that: the first call may have come too early."""
    ended: list[int] = []
    renewal = Renewal("x", renewing, SECONDS, lambda: ended.append(1), clock.now)
    renewal.beat()
    renewal.check()
    renewing.error = RunHeldError("by another")
    renewal.beat()
    renewing.error = None
    renewal.beat()
    assert (len(ended), renewing.renewals) == (2, 1)  # it is not taken back
    with pytest.raises(RunHeldError, match="by another"):
        renewal.check()


@pytest.mark.parametrize(("passed", "is_lost"), [(59.0, False), (60.0, True)])
def test_trouble_is_retried_until_the_lease_expires(
    renewing: Renewing, clock: FakeClock, passed: float, is_lost: bool
) -> None:
    """By the holder's own clock: after that another process may hold it."""
    ended: list[int] = []
    renewal = Renewal("x", renewing, SECONDS, lambda: ended.append(1), clock.now)
    renewing.error = StorageError("no network")
    while clock.now() < 1_800_000_000.0 + passed - 10:
        clock.sleep(10)
        renewal.beat()
    assert ended == []
    clock.time = 1_800_000_000.0 + passed
    assert renewal.is_lost is is_lost
    renewing.error = None
    renewal.beat()
    assert bool(ended) is is_lost
    if not is_lost:
        clock.sleep(59)
        renewal.check()  # the renewal counts from the beat that succeeded


def test_time_counts_from_before_the_call_that_renewed(clock: FakeClock) -> None:
    """Others count from the write, which may be long before the reply."""
    renewal = Renewal("x", lambda: clock.sleep(50), SECONDS, monotonic=clock.now)
    renewal.beat()
    assert not renewal.is_lost
    clock.sleep(10)
    assert renewal.is_lost


def test_an_error_while_work_is_ended_is_logged(renewing: Renewing, clock: FakeClock) -> None:
    """Spark's errors are many; the next beat tries again."""
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise OSError("the JVM is gone")

    renewal = Renewal("x", renewing, SECONDS, fail, clock.now)
    renewing.error = RunHeldError("by another")
    renewal.beat()
    renewal.beat()
    assert len(calls) == 2


def test_the_loss_is_raised_from_what_ended_the_block(renewing: Renewing, clock: FakeClock) -> None:
    """Cancelled work raises some error; the cause of that is the loss."""
    renewal = Renewal("x", renewing, SECONDS, monotonic=clock.now)
    renewing.error = RunHeldError("by another")
    with (  # noqa: PT012 - the error ends the block
        pytest.raises(RunHeldError, match="by another") as raised,
        kept("x", renewal, 3600),
    ):
        renewal.beat()
        raise ValueError("cancelled")
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_block_that_ends_well_raises_the_loss(renewing: Renewing, clock: FakeClock) -> None:
    """Its result may be wrong: another process worked, too."""
    renewal = Renewal("x", renewing, SECONDS, monotonic=clock.now)
    with pytest.raises(RunHeldError), kept("x", renewal, 3600):
        clock.sleep(SECONDS)


def test_errors_of_the_block_are_raised_if_nothing_is_lost(
    renewing: Renewing, clock: FakeClock
) -> None:
    """As they are."""
    renewal = Renewal("x", renewing, SECONDS, monotonic=clock.now)
    with pytest.raises(ValueError, match="bad"), kept("x", renewal, 3600):
        raise ValueError("bad")


@pytest.mark.parametrize("purpose", [STOP, "controlled"])
def test_another_holder_of_the_lease_ends_the_block(
    tmp_path: Path, clock: FakeClock, purpose: str
) -> None:
    """By `stop`, or by a machine whose clock is ahead. The thread calls `on_lost` by itself.

    The lease of the other one is neither taken back nor released.
    """
    storage = LocalStorage(str(tmp_path))
    lost = threading.Event()
    ahead = FakeClock(clock.now() + LEASE_SECONDS + 1)
    with (  # noqa: PT012 - the error ends the block
        pytest.raises(RunHeldError, match=f"is {'being stopped' if purpose == STOP else purpose}"),
        renewed(Lease(storage, clock), lost.set, clock.now, interval=0.001),
    ):
        other = Lease(storage, ahead, purpose)
        other.acquire()
        assert lost.wait(60)
    holder = read_holder(storage)
    assert holder is not None
    assert (holder.purpose, holder.until) == (purpose, ahead.now() + LEASE_SECONDS)


def test_a_lost_reply_to_a_renewal_is_no_takeover(tmp_path: Path, clock: FakeClock) -> None:
    """The object has changed, but by this holder's own write."""
    storage = LocalStorage(str(tmp_path))
    lease = Lease(storage, clock)
    lease.acquire()
    real = storage.replace

    def write_and_lose_the_reply(key: str, data: bytes, version: str | None) -> str:
        real(key, data, version)
        raise StorageError("no reply")

    storage.replace = write_and_lose_the_reply  # type: ignore[method-assign]
    clock.sleep(10)
    with pytest.raises(StorageError):
        lease.renew()
    storage.replace = real  # type: ignore[method-assign]
    clock.sleep(10)
    lease.renew()
    holder = read_holder(storage)
    assert holder is not None
    assert holder.until == clock.now() + LEASE_SECONDS
