"""Claims: of two attempts of one task, one works; of two rounds, only the newer one asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bedrock_spark.errors import RunHeldError, StorageError
from bedrock_spark.run_folder import claims as claims_module
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.claims import (
    CLAIM_SECONDS,
    LOOK_SECONDS,
    RENEW_SECONDS,
    TaskClaim,
    close_round,
    open_round,
)
from bedrock_spark.storage import LocalStorage, StoredObject
from tests.unit.fakes import FakeClock

ROUND = "0a1b"


class TickingClock(FakeClock):
    """A clock that calls `tick` after every sleep, as if other processes worked meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.tick: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.tick()


@pytest.fixture
def ticking() -> TickingClock:
    return TickingClock()


@pytest.fixture
def storage(tmp_path: Path, ticking: TickingClock) -> LocalStorage:
    storage = LocalStorage(str(tmp_path))
    open_round(storage, ROUND, ticking)
    return storage


def claim(storage: LocalStorage, clock: FakeClock, round_id: str = ROUND) -> TaskClaim:
    return TaskClaim(storage, round_id, "task", clock, monotonic=clock.now)


def test_a_second_attempt_waits_and_takes_the_result(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """However long the first one works, as long as it renews its claim. It never works itself."""
    first = claim(storage, ticking)
    assert first.acquire() is None
    looks = 0

    def renew() -> None:
        nonlocal looks
        looks += 1
        if looks < 100:
            first.renew()
        else:
            first.finish("result")
            ticking.tick = lambda: None

    ticking.tick = renew
    assert claim(storage, ticking).acquire() == "result"
    assert looks == 100


def test_a_claim_that_is_not_renewed_is_taken_over(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """Not before it has lasted; then the first attempt learns it, and can neither renew nor end."""
    first, second = claim(storage, ticking), claim(storage, ticking)
    first.acquire()
    began = ticking.now()
    assert second.acquire() is None
    assert ticking.now() - began == CLAIM_SECONDS
    assert set(ticking.waits) == {LOOK_SECONDS}
    for use in (first.renew, lambda: first.finish("result")):
        with pytest.raises(RunHeldError, match="another attempt"):
            use()
    first.release()
    second.renew()
    second.finish("mine")
    assert claim(storage, ticking).acquire() == "mine"


def test_the_claim_of_a_dead_process_of_this_machine_is_taken_at_once(
    storage: LocalStorage, ticking: TickingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it."""
    claim(storage, ticking).acquire()
    monkeypatch.setattr(claims_module, "is_dead", lambda *_: True)
    assert claim(storage, ticking).acquire() is None
    open_round(storage, "2c3d", ticking)
    assert ticking.waits == []


def test_an_attempt_that_failed_lets_the_next_one_work_at_once(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """Its claim is released."""
    first = claim(storage, ticking)
    first.acquire()
    first.release()
    assert claim(storage, ticking).acquire() is None
    assert ticking.waits == []


@pytest.mark.parametrize("end", ["closed", "revoked"])
def test_an_attempt_of_a_round_that_is_over_never_works(
    storage: LocalStorage, ticking: TickingClock, end: str
) -> None:
    """Neither one that begins late nor one that waits nor one that is at work."""
    first, waiting = claim(storage, ticking), claim(storage, ticking)
    first.acquire()

    def end_round() -> None:
        ticking.tick = lambda: None
        if end == "closed":
            close_round(storage, ROUND)
        else:
            open_round(storage, "2c3d", ticking)

    ticking.tick = end_round
    with pytest.raises(RunHeldError, match="is over"):
        waiting.acquire()
    late = claim(storage, ticking)
    assert late.acquire() is None
    with pytest.raises(RunHeldError, match="is over"):
        late.confirm()
    with pytest.raises(RunHeldError):
        first.renew()


@pytest.mark.parametrize("is_holder_dead", [False, True])
def test_a_revoked_claim_is_never_taken_over(
    storage: LocalStorage,
    ticking: TickingClock,
    monkeypatch: pytest.MonkeyPatch,
    is_holder_dead: bool,
) -> None:
    """Also if a new round begins between the two reads of an attempt of the old one."""
    claim(storage, ticking).acquire()
    real = storage.read_if_present

    def read_and_end_the_round(key: str) -> bytes | None:
        data = real(key)
        if key == layout.round_key(ROUND):
            claims_module._revoke(storage, layout.claim_key(ROUND, "task"))
            monkeypatch.setattr(claims_module, "is_dead", lambda *_: is_holder_dead)
        return data

    monkeypatch.setattr(storage, "read_if_present", read_and_end_the_round)
    with pytest.raises(RunHeldError, match="is over"):
        claim(storage, ticking).acquire()
    assert ticking.waits == []


def test_a_claim_outlasts_three_renewals_that_fail() -> None:
    """A short trouble with S3 costs no records."""
    assert RENEW_SECONDS * 4 <= CLAIM_SECONDS
    assert LOOK_SECONDS < RENEW_SECONDS


def test_a_short_claim_is_looked_at_often_enough(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """Four times while it lasts."""
    for _ in range(2):
        TaskClaim(storage, ROUND, "task", ticking, seconds=8.0, monotonic=ticking.now).acquire()
    assert ticking.waits == [2.0] * 4


def test_a_new_round_waits_until_attempts_of_the_old_one_have_stopped(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """They stop at their next renewal, or when they cannot renew for as long as a claim lasts."""
    claim(storage, ticking).acquire()
    open_round(storage, "2c3d", ticking)
    assert sum(ticking.waits) == CLAIM_SECONDS
    assert claim(storage, ticking, "2c3d").acquire() is None
    assert {o.key for o in storage.list(f"{layout.CLAIMS}/")} == {
        layout.round_key("2c3d"),
        layout.claim_key("2c3d", "task"),
    }


def test_a_new_round_waits_no_longer_than_the_processes_of_the_old_one_live(
    storage: LocalStorage, ticking: TickingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark ends the process of a cancelled task a moment later."""
    for name in ("task", "other"):
        TaskClaim(storage, ROUND, name, ticking, monotonic=ticking.now).acquire()
    monkeypatch.setattr(claims_module, "is_dead", lambda *_: len(ticking.waits) >= 2)
    open_round(storage, "2c3d", ticking)
    assert ticking.waits == [LOOK_SECONDS] * 2


def test_a_round_that_ended_well_leaves_nothing_to_wait_for(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """Its objects are deleted; done claims that are left do no harm."""
    first = claim(storage, ticking)
    first.acquire()
    first.finish("result")
    open_round(storage, "2c3d", ticking)
    assert ticking.waits == []
    close_round(storage, "2c3d")
    assert storage.list(f"{layout.CLAIMS}/") == []


def test_a_new_round_deletes_what_tasks_of_killed_ones_left(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """Heartbeats would take a share of the rate limit, and done claims would be listed for ever."""
    storage.write(f"{layout.TASKS}/{ROUND}/task", b"beat")
    claim(storage, ticking).acquire()
    open_round(storage, "2c3d", ticking)
    assert storage.list(f"{layout.TASKS}/") == []
    assert [o.key for o in storage.list(f"{layout.CLAIMS}/")] == [layout.round_key("2c3d")]


def test_a_round_is_over_before_its_claims_are_deleted(
    storage: LocalStorage, ticking: TickingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a late attempt would find no claim in a round that is open, and ask everything again."""
    first = claim(storage, ticking)
    first.acquire()
    first.finish("result")
    real, key = storage.delete, layout.claim_key(ROUND, "task")

    def delete(keys: list[str]) -> None:
        assert key not in keys or storage.read_if_present(layout.round_key(ROUND)) is None
        real(keys)

    monkeypatch.setattr(storage, "delete", delete)
    close_round(storage, ROUND)
    assert storage.list(f"{layout.CLAIMS}/") == []


def test_a_claim_that_is_deleted_meanwhile_is_not_waited_for(
    storage: LocalStorage, ticking: TickingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the read, another process closed its round."""
    claim(storage, ticking).acquire()
    monkeypatch.setattr(storage, "read_version", lambda key: None)
    open_round(storage, "2c3d", ticking)
    assert ticking.waits == []


def test_a_lost_reply_to_a_write_is_no_takeover(
    storage: LocalStorage, ticking: TickingClock
) -> None:
    """The object has changed, but by this attempt's own write."""
    first = claim(storage, ticking)
    first.acquire()
    real = storage.replace

    def write_and_lose_the_reply(key: str, data: bytes, version: str | None) -> str:
        real(key, data, version)
        raise StorageError("no reply")

    storage.replace = write_and_lose_the_reply  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        first.renew()
    storage.replace = real  # type: ignore[method-assign]
    first.renew()
    first.finish("result")


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_claim_blocks_nobody(
    storage: LocalStorage, ticking: TickingClock, damage: bytes
) -> None:
    """It names no attempt."""
    storage.write(layout.claim_key(ROUND, "task"), damage)
    assert claim(storage, ticking).acquire() is None
    assert ticking.waits == []


class Interrupted(LocalStorage):
    """A storage that does something else before some of its calls, by their numbers.

    The calls are made one by one, so their order is that of the code.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.before: dict[int, Callable[[], None]] = {}
        self.calls = 0

    def _count(self) -> None:
        self.calls += 1
        self.before.pop(self.calls, lambda: None)()

    def list(self, prefix: str) -> list[StoredObject]:
        self._count()
        return super().list(prefix)

    def delete(self, keys: Sequence[str]) -> None:
        self._count()
        super().delete(keys)

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        self._count()
        return super().read_version(key)


@pytest.mark.parametrize("end", ["opened", "closed"])
@pytest.mark.parametrize("claimed_before", range(1, 9))
@pytest.mark.parametrize("confirmed_after", range(4))
def test_an_attempt_that_claims_while_its_round_ends_does_not_work_on(
    tmp_path: Path,
    storage: LocalStorage,
    ticking: TickingClock,
    end: str,
    claimed_before: int,
    confirmed_after: int,
) -> None:
    """Whatever the order of the calls of both: it gets the result, is told, or is revoked.

    Who opens a round may find tasks of others that have not ended. Who closes one has all results.
    """
    late, calls = claim(storage, ticking), Interrupted(tmp_path)
    if end == "closed":
        first = claim(storage, ticking)
        first.acquire()
        first.finish("result")
    outcome: list[str] = []

    def tell(step: Callable[[], str | None], otherwise: str) -> None:
        try:
            if not outcome and step() is not None:
                outcome.append(otherwise)
        except RunHeldError:
            outcome.append("is told")

    def acquire() -> None:
        tell(late.acquire, "has the result")

    def confirm() -> None:
        tell(lambda: late.confirm() or "", "works")

    def both() -> None:
        acquire()
        confirm()

    calls.before[claimed_before] = acquire if confirmed_after else both
    if confirmed_after:
        calls.before[claimed_before + confirmed_after] = confirm
    if end == "opened":
        open_round(calls, "2c3d", ticking)
    else:
        close_round(calls, ROUND)
    for step in list(calls.before.values()):
        step()
    assert len(outcome) == 1
    if outcome == ["works"]:
        assert end == "opened"
        with pytest.raises(RunHeldError):
            late.renew()
