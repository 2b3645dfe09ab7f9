"""A run merges small files if many have the same hashes, and deletes only what is long replaced."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bedrock_spark import heartbeat
from bedrock_spark.answers import compact as compaction
from bedrock_spark.answers import compacting
from bedrock_spark.answers.compact import MANY_FILES, Compacted, compact, compact_if_many
from bedrock_spark.answers.compacting import CLAIM_FILE, CLAIM_SECONDS, CompactionClaim, claimed
from bedrock_spark.answers.store import DELETE_AFTER_SECONDS, pin_files
from bedrock_spark.errors import RunHeldError, StorageAccessError, StorageUnavailableError
from bedrock_spark.heartbeat import Renewal
from bedrock_spark.storage import LocalStorage
from tests.unit.answers.rows import answer, found, store_at, write
from tests.unit.fakes import FakeClock

NOW = 1_000_000.0


def fill(storage: LocalStorage, files: int, *, first: int = 0, apart: bool = False) -> None:
    """Write files of two answers. apart: no two of them have hashes between each other's."""
    for number in range(first, first + files):
        hashes = (2 * number, 2 * number + 1) if apart else (-(1 << 62), 1 << 62)
        rows = [answer(f"{number} {n}", hashed=hashes[n]) for n in range(2)]
        write(storage, rows, at=float(number), label=f"run-{number}")


def test_few_files_stay(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    fill(storage, MANY_FILES - 1)
    assert compact_if_many(storage, FakeClock(NOW)) == Compacted()
    assert not storage.list(CLAIM_FILE), "nothing was written"


def test_files_of_other_hashes_stay_however_many_they_are(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    fill(storage, 2 * MANY_FILES, apart=True)
    assert compact_if_many(storage, FakeClock(NOW)) == Compacted()


def test_many_files_become_few_and_none_is_deleted(tmp_path: Path) -> None:
    """A reader with the old list goes on; answers are found as before."""
    storage = store_at(tmp_path)
    write(storage, [answer("q", "one")])
    fill(storage, 3 * MANY_FILES)
    pinned = pin_files(storage)
    done = compact_if_many(storage, FakeClock(NOW))
    left = pin_files(storage)
    assert done.merged > MANY_FILES
    assert done.answers == done.kept
    assert len(left) == len(pinned) - done.merged + done.written < MANY_FILES
    assert {file.key for file in pinned} <= {o.key for o in storage.list("answers/")}
    for files in (pinned, left):
        assert found(storage, ["q"], files=files)[0] == {"q": "one"}
    assert compact_if_many(storage, FakeClock(NOW)) == Compacted()


def test_an_answer_is_written_again_a_few_times_only(tmp_path: Path) -> None:
    """As runs add a file each: the smallest ones are merged, not all again and again."""
    storage = store_at(tmp_path)
    written = 0
    runs = 150
    for number in range(runs):
        fill(storage, 1, first=number)
        written += compact_if_many(storage, FakeClock(NOW + number)).kept
        assert len(pin_files(storage)) < MANY_FILES
    assert written < 2 * runs * 4


def test_no_more_is_merged_than_a_run_can_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = store_at(tmp_path)
    fill(storage, 3 * MANY_FILES)
    sizes = sorted(file.size for file in pin_files(storage))
    monkeypatch.setattr(compaction, "_MOST_BYTES", sum(sizes[:10]))
    done = compact_if_many(storage, FakeClock(NOW))
    assert 2 <= done.merged <= 10
    monkeypatch.setattr(compaction, "_MOST_BYTES", 1)
    assert compact_if_many(storage, FakeClock(NOW)) == Compacted()


def test_one_process_compacts_at_a_time(tmp_path: Path) -> None:
    """A run goes on without, the command says so, and a claim that was left ends by the clock."""
    storage, clock = store_at(tmp_path), FakeClock(NOW)
    fill(storage, MANY_FILES)
    other = CompactionClaim(storage, clock)
    other.acquire()
    clock.sleep(1)
    assert compact_if_many(storage, clock) == Compacted()
    clock.sleep(CLAIM_SECONDS - 2)
    with pytest.raises(RunHeldError, match=r"this store, since .* UTC, by its last sign until"):
        compact(storage, clock)
    clock.sleep(1)
    assert compact_if_many(storage, clock).merged
    with pytest.raises(RunHeldError):
        other.renew()
    other.release()
    fill(storage, MANY_FILES, first=MANY_FILES)
    assert compact_if_many(storage, clock).merged, "it was released"


def test_a_renewed_claim_lasts_as_long_as_the_work(tmp_path: Path) -> None:
    """However long a compaction takes, no other process repeats it."""
    storage, clock = store_at(tmp_path), FakeClock(NOW)
    fill(storage, MANY_FILES)
    claim = CompactionClaim(storage, clock)
    claim.acquire()
    for _ in range(20):
        clock.sleep(CLAIM_SECONDS - 1)
        assert compact_if_many(storage, clock) == Compacted()
        claim.renew()
    assert json.loads(storage.read(CLAIM_FILE))["since"] == NOW


def test_a_compaction_renews_its_claim_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By heartbeats of its own thread."""
    monkeypatch.setattr(compacting, "RENEW_SECONDS", 0.001)
    storage, clock = store_at(tmp_path), FakeClock(NOW)
    renewed, real = threading.Semaphore(0), storage.replace

    def counted(key: str, data: bytes, version: str | None) -> str:
        written = real(key, data, version)
        renewed.release()
        return written

    storage.replace = counted  # type: ignore[method-assign]
    with claimed(storage, clock):
        for _ in range(4):
            assert renewed.acquire(timeout=60)
    assert json.loads(storage.read(CLAIM_FILE))["until"] == 0, "it was released"


def test_a_compaction_that_lost_its_claim_notes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a machine that slept: the process that took over does the work."""
    monkeypatch.setattr(compacting, "RENEW_SECONDS", 0.001)
    storage, clock = store_at(tmp_path), FakeClock(NOW)
    fill(storage, MANY_FILES)
    before = pin_files(storage)
    ahead = FakeClock(NOW + CLAIM_SECONDS)
    real = compaction.merge_files

    def taken_over(*arguments: Any) -> Any:
        CompactionClaim(storage, ahead).acquire()
        noticed = threading.Event()
        monkeypatch.setattr(heartbeat.log, "warning", lambda *_: None)
        monkeypatch.setattr(Renewal, "_call_on_lost", lambda self: noticed.set())
        assert noticed.wait(60)
        return real(*arguments)

    monkeypatch.setattr(compaction, "merge_files", taken_over)
    assert compact_if_many(storage, clock) == Compacted()
    assert not storage.list("compactions/")
    assert {file.key for file in before} <= {file.key for file in pin_files(storage)}
    assert json.loads(storage.read(CLAIM_FILE))["until"] == ahead.now() + CLAIM_SECONDS


def test_a_lost_reply_to_a_renewal_is_no_takeover(tmp_path: Path) -> None:
    storage, clock = store_at(tmp_path), FakeClock(NOW)
    claim, real = CompactionClaim(storage, clock), storage.replace
    claim.acquire()

    def write_and_lose_the_reply(key: str, data: bytes, version: str | None) -> str:
        real(key, data, version)
        raise StorageUnavailableError("no reply")

    storage.replace = write_and_lose_the_reply  # type: ignore[method-assign]
    clock.sleep(5)
    with pytest.raises(StorageUnavailableError):
        claim.renew()
    storage.replace = real  # type: ignore[method-assign]
    clock.sleep(5)
    claim.renew()
    assert json.loads(storage.read(CLAIM_FILE))["until"] == NOW + 10 + CLAIM_SECONDS


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_later_compaction_deletes_what_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
) -> None:
    """After the time in which somebody may read it. Without the right to delete, it stays."""
    storage, clock = store_at(tmp_path), FakeClock(NOW)
    fill(storage, MANY_FILES)
    replaced = {file.key for file in pin_files(storage)}
    assert compact_if_many(storage, clock).merged
    replaced -= {file.key for file in pin_files(storage)}
    for wait, is_over in ((DELETE_AFTER_SECONDS - 1, False), (2, True)):
        clock.sleep(wait)
        fill(storage, MANY_FILES, first=MANY_FILES * (2 if is_over else 1))
        if not is_allowed:
            monkeypatch.setattr(storage, "delete", refused)
        done = compact_if_many(storage, clock)
        assert done.merged
        assert done.deleted == (len(replaced) if is_over and is_allowed else 0)
        there = {stored.key for stored in storage.list("answers/")}
        assert (replaced <= there, replaced & there == set()) == (
            (False, True) if is_over and is_allowed else (True, False)
        )
    assert digests_in(storage) == {
        answer(f"{n} {k}")["request_digest"] for n in range(3 * MANY_FILES) for k in range(2)
    }


def refused(keys: Sequence[str]) -> None:
    raise StorageAccessError("may not delete", key=keys[0])


def digests_in(storage: LocalStorage) -> set[str]:
    """Return the digests of all requests whose answers a reader finds."""
    return {
        digest
        for file in pin_files(storage)
        for digest in pq.read_table(storage.root / file.key)["request_digest"].to_pylist()
    }


@pytest.mark.parametrize(
    "left", [b"", b"[]", b'{"until": "x"}', json.dumps({"until": NOW * 2}).encode()]
)
def test_a_claim_that_cannot_be_is_nobodys(tmp_path: Path, left: bytes) -> None:
    storage = store_at(tmp_path)
    fill(storage, MANY_FILES)
    storage.write(CLAIM_FILE, left)
    assert compact_if_many(storage, FakeClock(NOW)).merged
